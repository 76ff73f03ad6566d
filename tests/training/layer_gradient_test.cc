// Every gradient of the whole layer against central finite differences of a
// float64 reference.
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "tests/testing/layer_api.h"
#include "tests/testing/parameters_testing.h"
#include "tests/training/reference_layer.h"

namespace switchyard::testing {
namespace {

constexpr int64_t kTokens = 20;
constexpr float kAlpha = 0.3f;
constexpr double kStep = 1e-5;

struct GradientCase {
  std::string name;
  int32_t k;
  ExpertSpec expert;
  float capacity_factor;
  bool exact_combine = false;
};

void PrintTo(const GradientCase& test_case, std::ostream* os) {
  *os << test_case.name;
}

std::vector<double> ToDoubles(absl::Span<const float> values) {
  return {values.begin(), values.end()};
}

class LayerGradientTest : public ::testing::TestWithParam<GradientCase> {
 protected:
  void SetUp() override {
    const GradientCase& test_case = GetParam();
    spec_.name = "moe";
    spec_.hidden_size = 6;
    spec_.num_experts = 5;
    spec_.expert = test_case.expert;
    spec_.gate.k = test_case.k;
    spec_.capacity.capacity_factor = test_case.capacity_factor;
    spec_.capacity.min_capacity = 1;
    spec_.exact_combine = test_case.exact_combine;
    api_ = MakeEmbeddedLayerApi(/*num_workers=*/2);
    ASSERT_OK(api_->CreateLayer(spec_));
  }

  // `analytic` is d loss / d variable, as the service says; `variable` is the
  // reference's copy of it.
  void ExpectDerivative(std::vector<double>& variable,
                        const ReferenceInputs& inputs,
                        absl::Span<const float> analytic,
                        const std::string& what) {
    ASSERT_EQ(variable.size(), analytic.size()) << what;
    double largest = 0;
    for (const float a : analytic) {
      largest = std::max(largest, std::fabs(double{a}));
    }
    for (size_t i = 0; i < variable.size(); ++i) {
      const double at = variable[i];
      variable[i] = at + kStep;
      const double above = ReferenceLoss(spec_, inputs, routes_, g_, kAlpha);
      variable[i] = at - kStep;
      const double below = ReferenceLoss(spec_, inputs, routes_, g_, kAlpha);
      variable[i] = at;
      ASSERT_NEAR(analytic[i], (above - below) / (2 * kStep),
                  1e-6 + 2e-5 * largest)
          << what << " at " << i;
    }
  }

  LayerSpec spec_;
  std::unique_ptr<LayerApi> api_;
  ReferenceRoutes routes_;
  std::vector<double> g_;
};

TEST_P(LayerGradientTest, EqualsFiniteDifferences) {
  ForwardRequest forward;
  forward.layer = "moe";
  forward.mode = Mode::kTrain;
  forward.return_routes = true;
  forward.x = RandomTensor({kTokens, spec_.hidden_size}, 1);
  ASSERT_OK_AND_ASSIGN(const ForwardResult result, api_->Forward(forward));
  routes_ = {result.routes->expert_ids, result.expert_counts};

  BackwardRequest backward;
  backward.layer = "moe";
  backward.step = result.step;
  backward.microbatch = result.microbatch;
  backward.grad_aux_loss = kAlpha;
  backward.grad_y = RandomTensor({kTokens, spec_.hidden_size}, 2);
  g_ = ToDoubles(backward.grad_y.values());
  ASSERT_OK_AND_ASSIGN(const BackwardResult gradient, api_->Backward(backward));

  ReferenceInputs inputs;
  inputs.num_tokens = kTokens;
  inputs.x = ToDoubles(forward.x.values());
  ASSERT_OK_AND_ASSIGN(const auto values, ReadAll(*api_, "moe"));
  for (const auto& [name, value] : values) {
    inputs.parameters[name] = ToDoubles(value);
  }
  // The reference sees the same loss.
  double loss = kAlpha * result.aux_loss;
  for (size_t i = 0; i < g_.size(); ++i) loss += g_[i] * result.y.data()[i];
  EXPECT_NEAR(ReferenceLoss(spec_, inputs, routes_, g_, kAlpha), loss, 1e-5);

  ExpectDerivative(inputs.x, inputs, gradient.grad_x.values(), "x");
  ASSERT_OK_AND_ASSIGN(const auto gradients,
                       ReadAll(*api_, "moe", ParameterKind::kGradient));
  for (auto& [name, value] : inputs.parameters) {
    ExpectDerivative(value, inputs, gradients.at(name), name);
  }
  // With a tight capacity the case must really drop something.
  int64_t num_dropped = 0;
  for (const int32_t expert : routes_.expert_ids) num_dropped += expert < 0;
  EXPECT_EQ(num_dropped > 0, GetParam().capacity_factor < 1);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LayerGradientTest,
    ::testing::Values(
        GradientCase{"k1_linear", 1, LinearExpertSpec{}, 5},
        GradientCase{"k1_linear_drops", 1, LinearExpertSpec{}, 0.5},
        GradientCase{"k1_relu_drops", 1, MlpExpertSpec{7, Activation::kRelu},
                     0.5},
        GradientCase{"k2_gelu", 2, MlpExpertSpec{7, Activation::kGelu}, 5},
        GradientCase{"k2_gelu_drops", 2, MlpExpertSpec{7, Activation::kGelu},
                     0.5},
        GradientCase{"k4_gelu_tanh_drops", 4,
                     MlpExpertSpec{7, Activation::kGeluTanh}, 0.5},
        GradientCase{"k4_linear_exact", 4, LinearExpertSpec{}, 5, true},
        GradientCase{"k4_linear_exact_drops", 4, LinearExpertSpec{}, 0.5,
                     true}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace switchyard::testing
