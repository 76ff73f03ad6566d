#include "common/testing/golden_case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

TEST(GoldenCaseTest, EveryArrayOfEveryCaseIsAsTheIndexSays) {
  for (const char* kind : {"gating", "gating_invariants", "layer", "train"}) {
    ASSERT_OK_AND_ASSIGN(const std::vector<GoldenCase> cases,
                         ListGoldenCases(kind));
    for (const GoldenCase& golden_case : cases) {
      ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                           GoldenArrays::Read(golden_case));
      for (const auto& item : golden_case.entry["arrays"].items()) {
        ASSERT_TRUE(arrays.Has(item.key())) << golden_case.name << item.key();
        const Shape& shape = arrays.Get(item.key()).shape;
        EXPECT_EQ(std::vector<int64_t>(shape.begin(), shape.end()),
                  item.value()["shape"].get<std::vector<int64_t>>())
            << golden_case.name << ": " << item.key();
      }
    }
  }
}

TEST(GoldenCaseTest, ReadsScalarsArraysAndOptionalArrays) {
  const std::vector<GoldenCase> cases = GoldenCasesOrNone("gating");
  ASSERT_THAT(cases, Not(IsEmpty()));
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(cases.front()));
  EXPECT_GT(arrays.Float("l_aux"), 0.0f);
  EXPECT_GT(arrays.Integer("capacity"), 0);
  EXPECT_EQ(arrays.Floats("logits").shape(), arrays.Get("logits").shape);
  EXPECT_EQ(arrays.FloatsOrEmpty("no such array").num_elements(), 0);
}

TEST(GoldenCaseTest, AnUnknownKindHasNoCases) {
  EXPECT_THAT(GoldenCasesOrNone("no such kind"), IsEmpty());
}

}  // namespace
}  // namespace switchyard::testing
