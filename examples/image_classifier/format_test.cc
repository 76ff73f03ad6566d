#include "examples/image_classifier/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace switchyard::image_classifier {
namespace {

using ::testing::ElementsAre;

TEST(FormatTest, CountsHaveACommaEveryThreeDigits) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-123), "-123");
  EXPECT_EQ(FormatCount(-1234), "-1,234");
}

TEST(FormatTest, SharesArePercentWithOneDecimal) {
  EXPECT_EQ(FormatShare(0.2512), "25.1 %");
  EXPECT_EQ(FormatShare(1), "100.0 %");
}

TEST(FormatTest, MinutesRoundToWholeSeconds) {
  EXPECT_EQ(FormatMinutes(0), "0:00");
  EXPECT_EQ(FormatMinutes(59.6), "1:00");
  EXPECT_EQ(FormatMinutes(75), "1:15");
  EXPECT_EQ(FormatMinutes(-3), "0:00");
}

TEST(FormatTest, SharesOfNothingAreZero) {
  EXPECT_THAT(Shares({0, 0}), ElementsAre(0, 0));
  EXPECT_THAT(Shares({1, 3}), ElementsAre(0.25, 0.75));
}

TEST(FormatTest, BalanceNamesEachExpertOfAFew) {
  EXPECT_EQ(FormatBalance({1, 1, 2}), "25 25 50 %");
  EXPECT_EQ(FormatBalance({}), "");
}

TEST(FormatTest, BalanceOfManyExpertsIsARange) {
  EXPECT_EQ(FormatBalance({1, 1, 1, 1, 1, 1, 1, 1, 2}), "10.0 to 20.0 %");
}

}  // namespace
}  // namespace switchyard::image_classifier
