#include "expert_worker/compute/cpu/gated_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "expert_worker/testing/reference_expert.h"

namespace switchyard {
namespace {

using testing::ReferenceGatedProduct;

struct Kind {
  std::string name;
  GatedExpertSpec spec;
};

struct Gradient {
  float gate = 0;
  float up = 0;
};

float Product(const GatedExpertSpec& spec, float gate, float up) {
  float h = 0;
  GatedProduct(spec, {&gate, 1}, {&up, 1}, &h);
  return h;
}

Gradient ProductGradient(const GatedExpertSpec& spec, float gate, float up,
                         float grad_h = 1) {
  GatedProductBackward(spec, {&gate, 1}, {&up, 1}, &grad_h);
  return {gate, up};
}

class GatedProductTest : public ::testing::TestWithParam<Kind> {
 protected:
  const GatedExpertSpec& spec() const { return GetParam().spec; }
};

// Off zero and off the limit of 2, where derivatives have a step.
constexpr float kFirst = -4.03f;
constexpr float kStep = 0.125f;

TEST_P(GatedProductTest, MatchesTheFormulaInDouble) {
  for (float gate = kFirst; gate < 4; gate += kStep) {
    for (float up = kFirst; up < 4; up += kStep) {
      EXPECT_NEAR(Product(spec(), gate, up),
                  ReferenceGatedProduct(spec(), gate, up), 5e-6)
          << gate << ", " << up;
    }
  }
}

TEST_P(GatedProductTest, GradientMatchesCentralDifferencesInDouble) {
  constexpr double kH = 1e-6;
  for (float gate = kFirst; gate < 4; gate += kStep) {
    for (float up = kFirst; up < 4; up += kStep) {
      const Gradient got = ProductGradient(spec(), gate, up, 2);
      const double by_gate = ReferenceGatedProduct(spec(), gate + kH, up) -
                             ReferenceGatedProduct(spec(), gate - kH, up);
      const double by_up = ReferenceGatedProduct(spec(), gate, up + kH) -
                           ReferenceGatedProduct(spec(), gate, up - kH);
      EXPECT_NEAR(got.gate, by_gate / kH, 2e-5) << gate << ", " << up;
      EXPECT_NEAR(got.up, by_up / kH, 2e-5) << gate << ", " << up;
    }
  }
}

TEST_P(GatedProductTest, BackwardGivesTheProductAgainToTheBit) {
  for (float gate = kFirst; gate < 4; gate += kStep) {
    float operands[] = {gate, -1.3f};
    float grad = 2;
    GatedProductBackward(spec(), {&operands[0], 1}, {&operands[1], 1}, &grad);
    EXPECT_EQ(grad, Product(spec(), gate, -1.3f)) << gate;
  }
}

TEST_P(GatedProductTest, FiniteNumbersGiveNoNan) {
  for (const float gate : {-3e38f, -1e30f, -1e4f, 0.0f, 1e4f, 1e30f, 3e38f}) {
    for (const float up : {-3e38f, -1e20f, 0.0f, 1e20f, 3e38f}) {
      EXPECT_FALSE(std::isnan(Product(spec(), gate, up))) << gate << ", " << up;
      for (const float grad_h : {0.0f, 1.0f, -1e30f}) {
        const Gradient got = ProductGradient(spec(), gate, up, grad_h);
        EXPECT_FALSE(std::isnan(got.gate)) << gate << ", " << up;
        EXPECT_FALSE(std::isnan(got.up)) << gate << ", " << up;
      }
    }
  }
}

TEST_P(GatedProductTest, AGateFarBelowZeroClosesAndPassesNoGradient) {
  EXPECT_EQ(Product(spec(), -1e30f, 1e20f), 0.0f);
  const Gradient got = ProductGradient(spec(), -1e30f, 1e20f, 1e30f);
  EXPECT_EQ(got.gate, 0.0f);
  EXPECT_EQ(got.up, 0.0f);
}

TEST_P(GatedProductTest, DoesNotHideNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(Product(spec(), nan, 1)));
  EXPECT_TRUE(std::isnan(Product(spec(), 1, nan)));
  EXPECT_TRUE(std::isnan(ProductGradient(spec(), nan, 1).up));
  EXPECT_TRUE(std::isnan(ProductGradient(spec(), 1, nan).gate));
}

constexpr ClampedGateSpec kClamp = {.limit = 2.0f, .alpha = 1.702f};

INSTANTIATE_TEST_SUITE_P(
    All, GatedProductTest,
    ::testing::Values(
        Kind{"Relu", GatedExpertSpec{1, Activation::kRelu}},
        Kind{"Gelu", GatedExpertSpec{1, Activation::kGelu}},
        Kind{"GeluTanh", GatedExpertSpec{1, Activation::kGeluTanh}},
        Kind{"Silu", GatedExpertSpec{1, Activation::kSilu}},
        Kind{"Clamped", GatedExpertSpec{1, Activation::kSilu, false, kClamp}},
        Kind{"Steep",
             GatedExpertSpec{1, Activation::kSilu, false,
                             ClampedGateSpec{.limit = 3e38f, .alpha = 30.0f}}}),
    [](const auto& instance) { return instance.param.name; });

TEST(ClampedProductTest, IsConstantBeyondTheLimit) {
  const GatedExpertSpec spec = {1, Activation::kSilu, false, kClamp};
  EXPECT_EQ(Product(spec, 9, 1), Product(spec, 2, 1));
  EXPECT_EQ(Product(spec, 1, 9), Product(spec, 1, 2));
  EXPECT_EQ(Product(spec, 1, -9), Product(spec, 1, -2));
  EXPECT_EQ(ProductGradient(spec, 2.001f, 1).gate, 0.0f);
  EXPECT_EQ(ProductGradient(spec, 1, 2.001f).up, 0.0f);
  EXPECT_EQ(ProductGradient(spec, 1, -2.001f).up, 0.0f);
  // A gate far below the other limit is not clamped.
  EXPECT_NE(ProductGradient(spec, -2.5f, 1).gate, 0.0f);
  // What is clamped leaves the other's gradient.
  EXPECT_NE(ProductGradient(spec, 2.001f, 1).up, 0.0f);
  EXPECT_NE(ProductGradient(spec, 1, 2.001f).gate, 0.0f);
}

TEST(ClampedProductTest, PassesGradientOnTheLimitItself) {
  const GatedExpertSpec spec = {1, Activation::kSilu, false, kClamp};
  EXPECT_GT(ProductGradient(spec, 2, 1).gate, 0.0f);
  EXPECT_GT(ProductGradient(spec, 1, 2).up, 0.0f);
  EXPECT_GT(ProductGradient(spec, 1, -2).up, 0.0f);
}

}  // namespace
}  // namespace switchyard
