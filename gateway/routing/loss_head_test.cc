#include "gateway/routing/loss_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using testing::Matrix;
using testing::RandomNormal;
using testing::ToMatrix;

constexpr double kStep = 1e-5;

// Compares with central differences of `loss`, a function of y in float64. A
// step of 1e-5 leaves an error of about 1e-10; float32 decides the tolerance.
template <typename Loss>
void ExpectGradient(const LossGradient& result, Matrix y, Loss loss) {
  EXPECT_NEAR(result.loss, loss(y), 1e-6 * (1 + std::abs(loss(y))));
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < y[i].size(); ++j) {
      const double saved = y[i][j];
      y[i][j] = saved + kStep;
      const double above = loss(y);
      y[i][j] = saved - kStep;
      const double below = loss(y);
      y[i][j] = saved;
      EXPECT_NEAR(result.grad_y.row(static_cast<int64_t>(i))[j],
                  (above - below) / (2 * kStep), 1e-7)
          << i << ", " << j;
    }
  }
}

TEST(LossHeadTest, CrossEntropyAndItsGradientEqualFiniteDifferences) {
  const Tensor y = RandomNormal({6, 5}, 1);
  const std::vector<int32_t> labels = {0, 4, 2, 2, 1, 3};
  ExpectGradient(SoftmaxCrossEntropy(y, labels), ToMatrix(y),
                 [&labels](const Matrix& m) {
                   const Matrix p = testing::ReferenceSoftmax(m);
                   double sum = 0;
                   for (size_t t = 0; t < p.size(); ++t) {
                     sum -= std::log(p[t][static_cast<size_t>(labels[t])]);
                   }
                   return sum / static_cast<double>(p.size());
                 });
}

TEST(LossHeadTest, MeanSquaredErrorAndItsGradientEqualFiniteDifferences) {
  const Tensor y = RandomNormal({4, 3}, 1);
  const Tensor target = RandomNormal({4, 3}, 2);
  ExpectGradient(
      MeanSquaredError(y, target), ToMatrix(y), [&target](const Matrix& m) {
        double sum = 0;
        for (size_t t = 0; t < 4; ++t) {
          for (size_t h = 0; h < 3; ++h) {
            const double d = m[t][h] - target.row(static_cast<int64_t>(t))[h];
            sum += d * d;
          }
        }
        return sum / 12;
      });
}

TEST(LossHeadTest, CrossEntropyOfExtremeLogitsIsFinite) {
  const Tensor y = Tensor::FromSpan({2, 2}, {1e30f, -1e30f, -3e38f, 3e38f});
  const LossGradient sure = SoftmaxCrossEntropy(y, {0, 1});
  EXPECT_EQ(sure.loss, 0.0f);
  EXPECT_EQ(FirstNonFinite(sure.grad_y.values()), -1);
  const LossGradient wrong =
      SoftmaxCrossEntropy(Tensor::FromSpan({1, 2}, {100.0f, -100.0f}), {1});
  EXPECT_FLOAT_EQ(wrong.loss, 200.0f);
  EXPECT_THAT(wrong.grad_y.values(),
              ::testing::Pointwise(::testing::FloatEq(), {1.0f, -1.0f}));
}

TEST(LossHeadTest, UniformLogitsCostTheLogOfTheNumberOfClasses) {
  const LossGradient result =
      SoftmaxCrossEntropy(Tensor::Zeros({3, 10}), {1, 2, 3});
  EXPECT_FLOAT_EQ(result.loss, std::log(10.0f));
}

TEST(LossHeadTest, NoTokensCostNothing) {
  const Tensor none = Tensor::Zeros({0, 4});
  EXPECT_EQ(SoftmaxCrossEntropy(none, {}).loss, 0.0f);
  EXPECT_EQ(MeanSquaredError(none, none).loss, 0.0f);
  EXPECT_EQ(MeanSquaredError(none, none).grad_y.num_elements(), 0);
}

}  // namespace
}  // namespace switchyard
