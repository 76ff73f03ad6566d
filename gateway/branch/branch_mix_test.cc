#include "gateway/branch/branch_mix.h"

#include <cmath>
#include <ostream>
#include <random>
#include <string>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

constexpr int64_t kTokens = 5;
constexpr int64_t kHidden = 4;

Tensor Random(const Shape& shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::Uninitialized(shape);
  for (float& v : tensor.values()) v = normal(random);
  return tensor;
}

struct MixCase {
  std::string name;
  BranchMix mix;
  std::vector<Shape> shapes;
};
void PrintTo(const MixCase& c, std::ostream* os) { *os << c.name; }

class BranchMixTest : public ::testing::TestWithParam<MixCase> {
 protected:
  BranchMixTest() {
    for (size_t i = 0; i < GetParam().shapes.size(); ++i) {
      parameters_.push_back(Random(GetParam().shapes[i], 10 + i));
    }
    for (Tensor& parameter : parameters_) pointers_.push_back(&parameter);
    // Any loss that depends on every weight in its own way.
    grads_.expert_factors = {0.3f, -1.0f, 2.0f, 0.5f, -0.25f};
    grads_.branch_weights = {-0.7f, 0.2f, 1.0f, -2.0f, 0.75f};
  }

  double Loss() const {
    const BranchWeights weights = MixBranch(GetParam().mix, x_, pointers_);
    double loss = 0;
    for (size_t t = 0; t < static_cast<size_t>(kTokens); ++t) {
      loss += double{grads_.branch_weights[t]} * weights.branch_weights[t];
      if (weights.expert_factors.empty()) continue;
      loss += double{grads_.expert_factors[t]} * weights.expert_factors[t];
    }
    return loss;
  }

  double CentralDifference(float& value) const {
    constexpr float kStep = 1e-2f;
    const float at = value;
    value = at + kStep;
    const double above = Loss();
    value = at - kStep;
    const double below = Loss();
    value = at;
    return (above - below) / (2.0 * kStep);
  }

  Tensor x_ = Random({kTokens, kHidden}, 1);
  std::vector<Tensor> parameters_;
  std::vector<const Tensor*> pointers_;
  BranchWeightGradients grads_;
};

TEST_P(BranchMixTest, GradientsAreThoseOfCentralDifferences) {
  std::vector<Tensor> gradients;
  std::vector<Tensor*> gradient_pointers;
  for (const Tensor& parameter : parameters_) {
    gradients.push_back(Tensor::Zeros(parameter.shape()));
  }
  for (Tensor& gradient : gradients) gradient_pointers.push_back(&gradient);
  Tensor grad_x = Tensor::Zeros(x_.shape());
  MixBranchBackward(GetParam().mix, x_, pointers_,
                    MixBranch(GetParam().mix, x_, pointers_), grads_,
                    gradient_pointers, grad_x);
  for (size_t p = 0; p < parameters_.size(); ++p) {
    for (int64_t i = 0; i < parameters_[p].num_elements(); ++i) {
      EXPECT_NEAR(gradients[p].data()[i],
                  CentralDifference(parameters_[p].data()[i]), 2e-4)
          << "parameter " << p << ", element " << i;
    }
  }
  for (int64_t i = 0; i < x_.num_elements(); ++i) {
    EXPECT_NEAR(grad_x.data()[i], CentralDifference(x_.data()[i]), 2e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Mixes, BranchMixTest,
    ::testing::Values(
        MixCase{"Sum", BranchMix::kSum, {}},
        MixCase{"SigmoidGate", BranchMix::kSigmoidGate, {{1, kHidden}}},
        MixCase{"Coefficients", BranchMix::kCoefficients, {{2, kHidden}, {2}}},
        MixCase{"Scale", BranchMix::kScale, {{1}}}),
    [](const ::testing::TestParamInfo<MixCase>& test) {
      return test.param.name;
    });

TEST(BranchMixTest, CoefficientsAreASoftmaxAndNeverOverflow) {
  const Tensor x = Tensor::FromSpan({2, 1}, {1.0f, 1e30f});
  const Tensor c = Tensor::FromSpan({2, 1}, {0.0f, 1.0f});
  const Tensor b = Tensor::FromSpan({2}, {0.5f, 0.0f});
  const BranchWeights weights =
      MixBranch(BranchMix::kCoefficients, x, {&c, &b});
  EXPECT_FLOAT_EQ(weights.branch_weights[0], 1 / (1 + std::exp(-0.5f)));
  EXPECT_FLOAT_EQ(weights.expert_factors[0] + weights.branch_weights[0], 1.0f);
  EXPECT_FLOAT_EQ(weights.branch_weights[1], 1.0f);
  EXPECT_FLOAT_EQ(weights.expert_factors[1], 0.0f);
}

}  // namespace
}  // namespace switchyard
