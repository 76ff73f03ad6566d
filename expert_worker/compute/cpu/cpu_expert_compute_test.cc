#include "expert_worker/compute/cpu/cpu_expert_compute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "expert_worker/testing/random_tensor.h"
#include "expert_worker/testing/reference_expert.h"

namespace switchyard {
namespace {

using testing::Doubles;
using ::testing::ElementsAreArray;
using testing::RandomTensor;
using testing::ReferenceExpert;
using testing::ToDoubles;

constexpr int64_t kHidden = 12;
constexpr int64_t kFfn = 20;
constexpr int64_t kNumRows = 7;
// Float32 sums of up to 20 products of numbers below 1.
constexpr double kTolerance = 2e-5;

struct Kind {
  std::string name;
  ExpertSpec spec;
};

class CpuExpertComputeTest : public ::testing::TestWithParam<Kind> {
 protected:
  CpuExpertComputeTest()
      : compute_(MakeCpuExpertCompute(GetParam().spec)),
        x_(RandomTensor({kNumRows, kHidden}, 1)),
        grad_y_(RandomTensor({kNumRows, kHidden}, 2)),
        kept_(
            Tensor::Uninitialized({kNumRows, compute_->kept_floats_per_row()})),
        scratch_(Tensor::Uninitialized(
            {kNumRows, compute_->scratch_floats_per_row()})) {
    LayerSpec layer;
    layer.hidden_size = kHidden;
    layer.num_experts = 1;
    layer.expert = GetParam().spec;
    for (const ParameterSpec& parameter : ExpertParameters(layer, 0)) {
      parameters_.push_back(InitialParameter(parameter, 3));
      gradients_.push_back(Tensor::Zeros(parameter.shape));
      reference_.push_back(ToDoubles(parameters_.back().values()));
    }
  }

  ExpertValues Values() const {
    return ExpertValues(parameters_.begin(), parameters_.end());
  }

  Tensor Forward() {
    Tensor y = Tensor::Uninitialized({kNumRows, kHidden});
    compute_->Forward(Values(), {.x = x_,
                                 .kept = kept_.data(),
                                 .scratch = scratch_.data(),
                                 .y = y.data()});
    return y;
  }

  Tensor Backward() {
    Tensor grad_x = Tensor::Uninitialized({kNumRows, kHidden});
    compute_->Backward(Values(),
                       {.x = x_,
                        .kept = kept_.data(),
                        .grad_y = grad_y_.data(),
                        .scratch = scratch_.data(),
                        .grad_x = grad_x.data()},
                       absl::MakeSpan(gradients_));
    return grad_x;
  }

  // <grad_y, expert(x)> in double.
  double Loss(const Doubles& x) const {
    double loss = 0;
    for (int64_t row = 0; row < kNumRows; ++row) {
      const auto first = x.begin() + row * kHidden;
      const Doubles y = ReferenceExpert(GetParam().spec, reference_,
                                        Doubles(first, first + kHidden));
      for (int64_t j = 0; j < kHidden; ++j) {
        loss += grad_y_.row(row)[j] * y[static_cast<size_t>(j)];
      }
    }
    return loss;
  }

  double CentralDifference(double& variable, const Doubles& x) const {
    constexpr double kH = 1e-5;
    const double value = variable;
    variable = value + kH;
    const double above = Loss(x);
    variable = value - kH;
    const double below = Loss(x);
    variable = value;
    return (above - below) / (2 * kH);
  }

  const std::unique_ptr<const ExpertCompute> compute_;
  const Tensor x_;
  const Tensor grad_y_;
  Tensor kept_;
  Tensor scratch_;
  std::vector<Tensor> parameters_;
  std::vector<Tensor> gradients_;
  std::vector<Doubles> reference_;
};

TEST_P(CpuExpertComputeTest, ForwardMatchesFloat64) {
  const Tensor y = Forward();
  for (int64_t row = 0; row < kNumRows; ++row) {
    const Doubles expected = ReferenceExpert(
        GetParam().spec, reference_, ToDoubles({x_.row(row), size_t{kHidden}}));
    for (int64_t j = 0; j < kHidden; ++j) {
      EXPECT_NEAR(y.row(row)[j], expected[static_cast<size_t>(j)], kTolerance);
    }
  }
}

TEST_P(CpuExpertComputeTest, GradXMatchesCentralDifferences) {
  Forward();
  const Tensor grad_x = Backward();
  Doubles x = ToDoubles(x_.values());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(grad_x.values()[i], CentralDifference(x[i], x), kTolerance)
        << i;
  }
}

TEST_P(CpuExpertComputeTest, ParameterGradientsMatchCentralDifferences) {
  Forward();
  Backward();
  const Doubles x = ToDoubles(x_.values());
  for (size_t p = 0; p < gradients_.size(); ++p) {
    for (size_t i = 0; i < reference_[p].size(); ++i) {
      EXPECT_NEAR(gradients_[p].values()[i],
                  CentralDifference(reference_[p][i], x), kTolerance)
          << "parameter " << p << ", element " << i;
    }
  }
}

TEST_P(CpuExpertComputeTest, BackwardAddsToTheGradients) {
  Forward();
  Backward();
  std::vector<Doubles> once;
  for (const Tensor& g : gradients_) once.push_back(ToDoubles(g.values()));
  Backward();
  for (size_t p = 0; p < gradients_.size(); ++p) {
    for (size_t i = 0; i < once[p].size(); ++i) {
      EXPECT_NEAR(gradients_[p].values()[i], 2 * once[p][i], kTolerance);
    }
  }
}

TEST_P(CpuExpertComputeTest, NoRowsLeaveGradientsAsTheyAre) {
  for (Tensor& g : gradients_) g = RandomTensor(g.shape(), 4);
  const std::vector<float> before(gradients_[0].values().begin(),
                                  gradients_[0].values().end());
  compute_->Forward(Values(), {.x = ConstMatrix(x_.data(), 0, kHidden),
                               .kept = kept_.data(),
                               .scratch = scratch_.data(),
                               .y = nullptr});
  compute_->Backward(Values(),
                     {.x = ConstMatrix(x_.data(), 0, kHidden),
                      .kept = kept_.data(),
                      .grad_y = grad_y_.data(),
                      .scratch = scratch_.data(),
                      .grad_x = nullptr},
                     absl::MakeSpan(gradients_));
  EXPECT_THAT(gradients_[0].values(), ElementsAreArray(before));
}

// Half of the pre-activations are beyond the limit, see the test below.
constexpr ClampedGateSpec kTightClamp = {.limit = 0.3f, .alpha = 1.702f};

INSTANTIATE_TEST_SUITE_P(
    Kinds, CpuExpertComputeTest,
    ::testing::Values(
        Kind{"Linear", LinearExpertSpec{}},
        Kind{"LinearWithoutBias", LinearExpertSpec{.bias = false}},
        Kind{"MlpRelu", MlpExpertSpec{kFfn, Activation::kRelu}},
        Kind{"MlpGelu", MlpExpertSpec{kFfn, Activation::kGelu}},
        Kind{"MlpGeluTanh", MlpExpertSpec{kFfn, Activation::kGeluTanh}},
        Kind{"MlpSilu", MlpExpertSpec{kFfn, Activation::kSilu}},
        Kind{"MlpWithoutBias", MlpExpertSpec{kFfn, Activation::kGelu, false}},
        Kind{"GatedRelu", GatedExpertSpec{kFfn, Activation::kRelu}},
        Kind{"GatedGelu", GatedExpertSpec{kFfn, Activation::kGelu}},
        Kind{"GatedGeluTanh", GatedExpertSpec{kFfn, Activation::kGeluTanh}},
        Kind{"GatedSilu", GatedExpertSpec{kFfn, Activation::kSilu}},
        Kind{"GatedSiluBias", GatedExpertSpec{kFfn, Activation::kSilu, true}},
        Kind{"GatedClamped",
             GatedExpertSpec{kFfn, Activation::kSilu, false, kTightClamp}},
        Kind{"GatedClampedBias",
             GatedExpertSpec{kFfn, Activation::kSilu, true, kTightClamp}}),
    [](const auto& instance) { return instance.param.name; });

using GatedExpertTest = CpuExpertComputeTest;

TEST_P(GatedExpertTest, KeepsBothOperandsOfTheProduct) {
  EXPECT_EQ(compute_->kept_floats_per_row(), 2 * kFfn);
  Forward();
  int64_t num_clamped[] = {0, 0};
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t i = 0; i < kNumRows * kFfn; ++i) {
      const float operand = kept_.data()[half * kNumRows * kFfn + i];
      num_clamped[half] += operand > kTightClamp.limit ? 1 : 0;
    }
  }
  // The tests at this limit see elements on either side of it.
  for (const int64_t n : num_clamped) {
    EXPECT_GT(n, kNumRows * kFfn / 10);
    EXPECT_LT(n, kNumRows * kFfn * 9 / 10);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Clamped, GatedExpertTest,
    ::testing::Values(Kind{"Clamped", GatedExpertSpec{kFfn, Activation::kSilu,
                                                      false, kTightClamp}}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace switchyard
