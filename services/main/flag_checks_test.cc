#include "services/main/flag_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(FlagChecksTest, IntegersAreWithinTheirRange) {
  ASSERT_OK_AND_ASSIGN(const int64_t least, ParseInteger("1", {1, 8}, "--n"));
  EXPECT_EQ(least, 1);
  ASSERT_OK_AND_ASSIGN(const int64_t most, ParseInteger("8", {1, 8}, "--n"));
  EXPECT_EQ(most, 8);
  EXPECT_THAT(ParseInteger("0", {1, 8}, "--n"),
              StatusIs(kInvalid,
                       "--n: got '0', expected an integer from 1 to "
                       "8"));
  for (const char* text :
       {"9", "-1", "", "x", "1.5", "3 apples", "99999999999999999999999"}) {
    EXPECT_EQ(ParseInteger(text, {1, 8}, "--n").status().code(), kInvalid)
        << text;
  }
}

TEST(FlagChecksTest, ChoicesAreNamed) {
  EXPECT_OK(CheckChoice("b", {"a", "b"}, "--c"));
  EXPECT_THAT(CheckChoice("B", {"a", "b"}, "--c"),
              StatusIs(kInvalid, "--c: got 'B', expected one of a, b"));
}

TEST(FlagChecksTest, WorkerIdsAreAsTheRegistryTakesThem) {
  EXPECT_OK(CheckWorkerId("rack-1/host_2:gpu.0", "--worker-id"));
  EXPECT_OK(CheckWorkerId(std::string(128, 'w'), "--worker-id"));
  EXPECT_THAT(CheckWorkerId("a b", "--worker-id"),
              StatusIs(kInvalid,
                       "--worker-id: got 'a b', expected 1 to 128 "
                       "characters out of [A-Za-z0-9._/:-]"));
  EXPECT_EQ(CheckWorkerId("", "f").code(), kInvalid);
  EXPECT_EQ(CheckWorkerId(std::string(129, 'w'), "f").code(), kInvalid);
}

TEST(FlagChecksTest, WhatIsQuotedIsPrintable) {
  EXPECT_THAT(CheckChoice("\x1b[2J", {"a"}, "--c"),
              StatusIs(kInvalid, "--c: got '\\x1b[2J', expected one of a"));
}

}  // namespace
}  // namespace switchyard
