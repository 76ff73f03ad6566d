#include "expert_worker/compute/cpu/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "expert_worker/testing/reference_expert.h"

namespace switchyard {
namespace {

using testing::ReferenceActivation;

class ActivationTest : public ::testing::TestWithParam<Activation> {
 protected:
  static float Value(float x) {
    float y = 0;
    Activate(GetParam(), {&x, 1}, &y);
    return y;
  }
  static float Derivative(float x) {
    float grad = 1;
    ActivateBackward(GetParam(), {&x, 1}, &grad);
    return x;
  }
};

TEST_P(ActivationTest, MatchesTheFormulaInDouble) {
  for (float x = -6.0f; x <= 6.0f; x += 0.0625f) {
    EXPECT_NEAR(Value(x), ReferenceActivation(GetParam(), x), 2e-6) << x;
  }
}

TEST_P(ActivationTest, DerivativeMatchesCentralDifferencesInDouble) {
  // Off zero, where ReLU has none.
  for (float x = -6.03f; x <= 6.0f; x += 0.0625f) {
    const double h = 1e-6;
    const double expected = (ReferenceActivation(GetParam(), x + h) -
                             ReferenceActivation(GetParam(), x - h)) /
                            (2 * h);
    EXPECT_NEAR(Derivative(x), expected, 2e-6) << x;
  }
}

TEST_P(ActivationTest, BackwardMultipliesTheGradientThatComesIn) {
  float pre[] = {0.5f, 0.5f};
  float grad[] = {1.0f, -3.0f};
  ActivateBackward(GetParam(), absl::MakeSpan(pre), grad);
  EXPECT_FLOAT_EQ(pre[1], -3.0f * pre[0]);
}

TEST_P(ActivationTest, BackwardGivesTheOutputAgainToTheBit) {
  for (float x = -6.0f; x <= 6.0f; x += 0.0625f) {
    float pre = x;
    float grad = 1;
    ActivateBackward(GetParam(), {&pre, 1}, &grad);
    EXPECT_EQ(grad, Value(x)) << x;
  }
}

// The last elements of an array do not fill a vector.
TEST_P(ActivationTest, NoElementDependsOnItsPlace) {
  std::vector<float> pre(37);
  for (size_t i = 0; i < pre.size(); ++i) {
    pre[i] = 0.25f * static_cast<float>(i) - 4.0f;
  }
  std::vector<float> out(pre.size() + 1, -7.0f);
  Activate(GetParam(), pre, out.data());
  for (size_t i = 0; i < pre.size(); ++i) EXPECT_EQ(out[i], Value(pre[i]));
  EXPECT_EQ(out.back(), -7.0f);
}

TEST_P(ActivationTest, SaturatesFarFromZero) {
  for (const float x : {1e3f, 1e20f, 3e38f}) {
    EXPECT_EQ(Value(x), x);
    EXPECT_EQ(Value(-x), 0.0f);
    EXPECT_EQ(Derivative(x), 1.0f);
    EXPECT_EQ(Derivative(-x), 0.0f);
  }
}

TEST_P(ActivationTest, DoesNotHideNan) {
  EXPECT_TRUE(std::isnan(Value(std::numeric_limits<float>::quiet_NaN())));
}

INSTANTIATE_TEST_SUITE_P(All, ActivationTest,
                         ::testing::Values(Activation::kRelu, Activation::kGelu,
                                           Activation::kGeluTanh,
                                           Activation::kSilu));

TEST(ReluTest, HasDerivativeZeroAtZero) {
  float pre[] = {0.0f, -0.0f};
  float grad[] = {1.0f, 1.0f};
  ActivateBackward(Activation::kRelu, absl::MakeSpan(pre), grad);
  EXPECT_EQ(pre[0], 0.0f);
  EXPECT_EQ(pre[1], 0.0f);
}

}  // namespace
}  // namespace switchyard
