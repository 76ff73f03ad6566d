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
using testing::RandomTensor;
using testing::ReferenceExpert;
using testing::ToDoubles;

// Two blocks each, the second not full.
constexpr int64_t kHidden = 36;
constexpr int64_t kFfn = 40;
constexpr int64_t kNumRows = 7;
// Float32 sums of up to 40 products of numbers below 1.
constexpr double kTolerance = 2e-5;

struct Kind {
  std::string name;
  ExpertSpec spec;
};

class CpuExpertComputeTest : public ::testing::TestWithParam<Kind> {
 protected:
  CpuExpertComputeTest()
      : compute_(MakeCpuExpertCompute(GetParam().spec, kHidden)),
        x_(RandomTensor({kNumRows, kHidden}, 1)),
        grad_y_(RandomTensor({kNumRows, kHidden}, 2)),
        kept_(
            Tensor::Uninitialized({kNumRows, compute_->kept_floats_per_row()})),
        scratch_(Tensor::Uninitialized(
            {kNumRows, compute_->scratch_floats_per_row()})),
        product_scratch_(Tensor::Uninitialized({kProductScratchFloats})) {
    LayerSpec layer;
    layer.hidden_size = kHidden;
    layer.num_experts = 1;
    layer.expert = GetParam().spec;
    for (const ParameterSpec& parameter : ExpertParameters(layer, 0)) {
      const Tensor initial = InitialParameter(parameter, 3);
      reference_.push_back(ToDoubles(initial.values()));
      shapes_.push_back(parameter.shape);
      parameters_.push_back(ToPanels(parameter.shape, initial));
      gradients_.push_back(Tensor::Zeros(parameters_.back().shape()));
    }
  }

  static Tensor ToPanels(const Shape& shape, const Tensor& row_major) {
    if (shape.size() == 1) return row_major.Clone();
    Tensor panels = Tensor::Zeros({PanelElements(shape[0], shape[1])});
    for (int64_t i = 0; i < row_major.num_elements(); ++i) {
      panels.data()[PanelIndex(i, shape[1])] = row_major.data()[i];
    }
    return panels;
  }

  // Element `idx` of a gradient as a row-major matrix.
  double Gradient(size_t parameter, size_t idx) const {
    const Shape& shape = shapes_[parameter];
    const auto i = static_cast<int64_t>(idx);
    return gradients_[parameter]
        .data()[shape.size() == 1 ? i : PanelIndex(i, shape[1])];
  }

  ExpertMaps Maps() const {
    ExpertMaps maps;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (shapes_[i].size() == 1) {
        maps.back().bias = parameters_[i].data();
      } else {
        maps.push_back({.weight = {.data = parameters_[i].data(),
                                   .num_outputs = shapes_[i][0],
                                   .num_inputs = shapes_[i][1]}});
      }
    }
    return maps;
  }

  ExpertGradients Gradients() {
    ExpertGradients gradients;
    for (size_t i = 0; i < gradients_.size(); ++i) {
      if (shapes_[i].size() == 1) {
        gradients.back().bias = gradients_[i].data();
      } else {
        gradients.push_back({.weight = gradients_[i].data()});
      }
    }
    return gradients;
  }

  // All stages; blocks one by one, the last first.
  void RunForward(const ForwardRows& rows) {
    const Stages& stages = compute_->forward_stages();
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      for (int64_t b = stages[stage].num_blocks - 1; b >= 0; --b) {
        compute_->Forward(static_cast<int>(stage), {b, 1}, Maps(), rows,
                          product_scratch_.data());
      }
    }
  }

  // All stages, each at once.
  void RunBackward(const BackwardRows& rows) {
    const Stages& stages = compute_->backward_stages();
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      compute_->Backward(static_cast<int>(stage), {0, stages[stage].num_blocks},
                         Maps(), rows, Gradients(), product_scratch_.data());
    }
  }

  Tensor Forward() {
    Tensor y = Tensor::Uninitialized({kNumRows, kHidden});
    RunForward({.x = x_,
                .kept = kept_.data(),
                .scratch = scratch_.data(),
                .y = y.data()});
    return y;
  }

  Tensor Backward() {
    Tensor grad_x = Tensor::Uninitialized({kNumRows, kHidden});
    RunBackward({.x = x_,
                 .kept = kept_.data(),
                 .grad_y = grad_y_.data(),
                 .scratch = scratch_.data(),
                 .grad_x = grad_x.data()});
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
  Tensor product_scratch_;
  std::vector<Shape> shapes_;
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
      EXPECT_NEAR(Gradient(p, i), CentralDifference(reference_[p][i], x),
                  kTolerance)
          << "parameter " << p << ", element " << i;
    }
  }
}

TEST_P(CpuExpertComputeTest, BackwardAddsToTheGradients) {
  Forward();
  Backward();
  std::vector<Doubles> once;
  for (const Tensor& g : gradients_) once.push_back(ToDoubles(g.values()));
  Forward();
  Backward();
  for (size_t p = 0; p < gradients_.size(); ++p) {
    for (size_t i = 0; i < once[p].size(); ++i) {
      EXPECT_NEAR(gradients_[p].values()[i], 2 * once[p][i], kTolerance);
    }
  }
}

TEST_P(CpuExpertComputeTest, NoRowsLeaveGradientsAsTheyAre) {
  for (Tensor& g : gradients_) g = RandomTensor(g.shape(), 4);
  std::vector<Tensor> before;
  for (const Tensor& g : gradients_) before.push_back(g.Clone());
  RunForward({.x = ConstMatrix(x_.data(), 0, kHidden),
              .kept = kept_.data(),
              .scratch = scratch_.data(),
              .y = nullptr});
  RunBackward({.x = ConstMatrix(x_.data(), 0, kHidden),
               .kept = kept_.data(),
               .grad_y = grad_y_.data(),
               .scratch = scratch_.data(),
               .grad_x = nullptr});
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(gradients_[i].values(), before[i].values());
  }
}

// Half of the pre-activations are beyond the limit, see the test below.
constexpr ClampedGateSpec kTightClamp = {.limit = 0.3f, .alpha = 1.702f};

INSTANTIATE_TEST_SUITE_P(
    Kinds, CpuExpertComputeTest,
    ::testing::Values(
        Kind{"Identity", IdentityExpertSpec{}},
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
