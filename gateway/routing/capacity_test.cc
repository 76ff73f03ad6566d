#include "gateway/routing/capacity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "absl/strings/str_format.h"

namespace switchyard {
namespace {

// DeepSpeed's formula, with the float64 factor that Python has.
int64_t DeepSpeedCapacity(int64_t num_tokens, int32_t num_experts,
                          double capacity_factor, int32_t k) {
  const float quotient =
      static_cast<float>(static_cast<double>(num_tokens) / num_experts);
  const float factor = static_cast<float>(capacity_factor * k);
  return static_cast<int64_t>(std::ceil(quotient * factor));
}

TEST(CapacityTest, RoundsAsDeepSpeedDoes) {
  // Each is one more than, or one less than, exact arithmetic gives.
  EXPECT_EQ(ExpertCapacity(100, 4, 1.2f, 1, 0), 31);
  EXPECT_EQ(ExpertCapacity(100, 4, 0.6f, 1, 0), 16);
  EXPECT_EQ(ExpertCapacity(100, 3, 1.05f, 1, 0), 35);
}

TEST(CapacityTest, EqualsDeepSpeedsFormulaForEveryTwoDigitFactor) {
  int num_compared = 0;
  for (int percent = 5; percent <= 400; ++percent) {
    const std::string text =
        absl::StrFormat("%d.%02d", percent / 100, percent % 100);
    const double factor = std::strtod(text.c_str(), nullptr);
    for (const int32_t k : {1, 2, 3, 4, 5, 6, 7, 8}) {
      for (const int64_t tokens : {1, 7, 16, 50, 100, 500, 600, 1000, 4096}) {
        for (const int32_t experts : {1, 2, 3, 4, 6, 8, 12, 20, 64, 128}) {
          ASSERT_EQ(
              ExpertCapacity(tokens, experts, static_cast<float>(factor), k, 0),
              DeepSpeedCapacity(tokens, experts, factor, k))
              << tokens << " tokens, " << experts << " experts, factor " << text
              << ", k " << k;
          ++num_compared;
        }
      }
    }
  }
  EXPECT_EQ(num_compared, 396 * 8 * 9 * 10);
}

TEST(CapacityTest, TheFactorIsTakenForTheDecimalThatWasMeant) {
  // 0.06f widened to float64 and tripled rounds to another float32 than 0.18.
  EXPECT_EQ(ExpertCapacity(500, 3, 0.06f, 3, 0), 31);
}

TEST(CapacityTest, MinCapacityIsAFloor) {
  EXPECT_EQ(ExpertCapacity(12, 8, 0.5f, 1, 4), 4);
  EXPECT_EQ(ExpertCapacity(0, 8, 1.0f, 1, 4), 4);
  EXPECT_EQ(ExpertCapacity(0, 8, 1.0f, 1, 0), 0);
}

TEST(CapacityTest, MayExceedTheNumberOfTokens) {
  EXPECT_EQ(ExpertCapacity(8, 2, 4.0f, 1, 0), 16);
}

TEST(CapacityTest, SaturatesInsteadOfOverflowing) {
  const float huge = std::numeric_limits<float>::max();
  EXPECT_EQ(ExpertCapacity(1000, 1, huge, 8, 0), int64_t{1} << 62);
  EXPECT_EQ(ExpertCapacity(1000, 1, 1e19f, 1, 0), int64_t{1} << 62);
}

TEST(CapacityTest, TrainAndEvalModeHaveTheirOwnSettings) {
  LayerSpec spec;
  spec.num_experts = 2;
  spec.capacity.min_capacity = 0;
  spec.capacity.capacity_factor = 2.0f;
  EXPECT_TRUE(CanDrop(spec.capacity, Mode::kTrain));
  EXPECT_FALSE(CanDrop(spec.capacity, Mode::kEval));
  spec.capacity.drop_tokens = false;
  spec.capacity.eval_capacity_factor = 0.5f;
  EXPECT_FALSE(CanDrop(spec.capacity, Mode::kTrain));
  EXPECT_TRUE(CanDrop(spec.capacity, Mode::kEval));
  EXPECT_EQ(ExpertCapacity(spec, Mode::kTrain, 8), 8);
  EXPECT_EQ(ExpertCapacity(spec, Mode::kEval, 8), 2);
}

}  // namespace
}  // namespace switchyard
