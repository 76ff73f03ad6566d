#include "gateway/routing/gate_projection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using testing::RandomNormal;

constexpr int64_t kTokens = 7;
constexpr int64_t kHidden = 6;
constexpr int64_t kExperts = 5;

// sum over all logits of logit * g, in float64.
double Objective(const testing::Matrix& x, const Tensor& jitter,
                 const testing::Matrix& weight, const Tensor& g) {
  double sum = 0;
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t e = 0; e < weight.size(); ++e) {
      double logit = 0;
      for (size_t h = 0; h < x[t].size(); ++h) {
        const double factor = jitter.num_elements() == 0
                                  ? 1.0
                                  : jitter.row(static_cast<int64_t>(t))[h];
        logit += x[t][h] * factor * weight[e][h];
      }
      sum += logit * g.row(static_cast<int64_t>(t))[e];
    }
  }
  return sum;
}

// Compares `grad` with what `objective` does when `m` moves; it is linear in m,
// so central differences are exact but for rounding.
template <typename ObjectiveFn>
void ExpectGradient(const Tensor& grad, testing::Matrix& m,
                    ObjectiveFn objective) {
  for (size_t i = 0; i < m.size(); ++i) {
    for (size_t j = 0; j < m[i].size(); ++j) {
      const double saved = m[i][j];
      m[i][j] = saved + 0.5;
      const double above = objective();
      m[i][j] = saved - 0.5;
      const double below = objective();
      m[i][j] = saved;
      ASSERT_NEAR(grad.row(static_cast<int64_t>(i))[j], above - below, 1e-5)
          << i << ", " << j;
    }
  }
}

class GateProjectionTest : public ::testing::TestWithParam<bool> {
 protected:
  GateProjectionTest()
      : x_(RandomNormal({kTokens, kHidden}, 1)),
        weight_(RandomNormal({kExperts, kHidden}, 2)),
        g_(RandomNormal({kTokens, kExperts}, 3)) {
    if (GetParam()) jitter_ = RandomNormal({kTokens, kHidden}, 4);
  }

  Tensor x_, weight_, g_, jitter_;
};

TEST_P(GateProjectionTest, LogitsAreTheProductOfInputAndWeight) {
  const Tensor logits = GateLogits(x_, jitter_, PackedMatrix(weight_));
  ASSERT_THAT(logits.shape(), ::testing::ElementsAre(kTokens, kExperts));
  double sum = 0;
  for (int64_t i = 0; i < logits.num_elements(); ++i) {
    sum += static_cast<double>(logits.data()[i]) *
           static_cast<double>(g_.data()[i]);
  }
  EXPECT_NEAR(
      sum,
      Objective(testing::ToMatrix(x_), jitter_, testing::ToMatrix(weight_), g_),
      1e-4);
}

TEST_P(GateProjectionTest, GradientsEqualFiniteDifferences) {
  Tensor grad_weight = Tensor::Zeros({kExperts, kHidden});
  Tensor grad_x = Tensor::Zeros({kTokens, kHidden});
  GateProjectionBackward(x_, jitter_, weight_, g_, grad_weight, grad_x);
  testing::Matrix x = testing::ToMatrix(x_);
  testing::Matrix weight = testing::ToMatrix(weight_);
  const auto objective = [&] { return Objective(x, jitter_, weight, g_); };
  ExpectGradient(grad_x, x, objective);
  ExpectGradient(grad_weight, weight, objective);
}

TEST_P(GateProjectionTest, GradientsAreAddedToWhatIsThere) {
  Tensor weight_once = Tensor::Zeros({kExperts, kHidden});
  Tensor x_once = Tensor::Zeros({kTokens, kHidden});
  GateProjectionBackward(x_, jitter_, weight_, g_, weight_once, x_once);
  Tensor weight_twice = weight_once.Clone();
  Tensor x_twice = x_once.Clone();
  GateProjectionBackward(x_, jitter_, weight_, g_, weight_twice, x_twice);
  for (int64_t i = 0; i < weight_once.num_elements(); ++i) {
    EXPECT_NEAR(weight_twice.data()[i], 2 * weight_once.data()[i], 1e-5);
  }
  for (int64_t i = 0; i < x_once.num_elements(); ++i) {
    EXPECT_NEAR(x_twice.data()[i], 2 * x_once.data()[i], 1e-5);
  }
}

TEST_P(GateProjectionTest, NoTokensLeaveGradientsAlone) {
  const Tensor none = Tensor::Zeros({0, kHidden});
  EXPECT_EQ(GateLogits(none, Tensor(), PackedMatrix(weight_)).rows(), 0);
  Tensor grad_weight = RandomNormal({kExperts, kHidden}, 5);
  const Tensor before = grad_weight.Clone();
  Tensor grad_x = Tensor::Zeros({0, kHidden});
  GateProjectionBackward(none, Tensor(), weight_, Tensor::Zeros({0, kExperts}),
                         grad_weight, grad_x);
  EXPECT_EQ(grad_weight.values(), before.values());
}

INSTANTIATE_TEST_SUITE_P(Jitter, GateProjectionTest, ::testing::Bool());

TEST(GateProjectionNonFiniteTest, ABrokenTokenStaysInItsRow) {
  for (const int64_t tokens : {2, 5, 16, 33, 100}) {
    for (const int64_t experts : {1, 3, 16, 64}) {
      const Tensor weight = RandomNormal({experts, 84}, 2);
      Tensor x = RandomNormal({tokens, 84}, 1);
      const Tensor sound = GateLogits(x, Tensor(), PackedMatrix(weight));
      x.row(1)[5] = std::numeric_limits<float>::quiet_NaN();
      x.row(1)[6] = std::numeric_limits<float>::infinity();
      const Tensor broken = GateLogits(x, Tensor(), PackedMatrix(weight));
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t e = 0; e < experts; ++e) {
          if (t == 1) {
            ASSERT_TRUE(std::isnan(broken.row(t)[e]));
          } else {
            ASSERT_EQ(broken.row(t)[e], sound.row(t)[e]);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace switchyard
