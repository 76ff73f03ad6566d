// Every gradient of the whole layer against central finite differences of a
// float64 reference.
#include <cmath>
#include <functional>
#include <memory>
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
  // Whatever else is to be different.
  std::function<void(LayerSpec&)> change = [](LayerSpec&) {};
  // d loss / d aux_loss; the reference knows DeepSpeed's loss only.
  float grad_aux_loss = kAlpha;
};

void PrintTo(const GradientCase& test_case, std::ostream* os) {
  *os << test_case.name;
}

std::vector<double> ToDoubles(absl::Span<const float> values) {
  return {values.begin(), values.end()};
}

// A layer with its float64 reference.
class LayerWithReference {
 protected:
  void CreateLayer(const GradientCase& test_case) {
    alpha_ = test_case.grad_aux_loss;
    spec_.name = "moe";
    spec_.hidden_size = 6;
    spec_.num_experts = 5;
    spec_.expert = test_case.expert;
    spec_.gate.k = test_case.k;
    spec_.capacity.capacity_factor = test_case.capacity_factor;
    spec_.capacity.min_capacity = 1;
    spec_.exact_combine = test_case.exact_combine;
    test_case.change(spec_);
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
      const double above = ReferenceLoss(spec_, inputs, routes_, g_, alpha_);
      variable[i] = at - kStep;
      const double below = ReferenceLoss(spec_, inputs, routes_, g_, alpha_);
      variable[i] = at;
      ASSERT_NEAR(analytic[i], (above - below) / (2 * kStep),
                  1e-6 + 2e-5 * largest)
          << what << " at " << i;
    }
  }

  LayerSpec spec_;
  double alpha_ = 0;
  std::unique_ptr<LayerApi> api_;
  ReferenceRoutes routes_;
  std::vector<double> g_;
};

class LayerGradientTest : public LayerWithReference,
                          public ::testing::TestWithParam<GradientCase> {
 protected:
  void SetUp() override { CreateLayer(GetParam()); }
};

class PreRoutedGradientTest : public LayerWithReference,
                              public ::testing::Test {
 protected:
  void SetUp() override {
    CreateLayer({.name = "pre_routed",
                 .k = 1,
                 .expert = GatedExpertSpec{.ffn_size = 7},
                 .capacity_factor = 5,
                 .change =
                     [](LayerSpec& spec) {
                       spec.dense_branch =
                           DenseBranchSpec{.expert = LinearExpertSpec{},
                                           .mix = BranchMix::kCoefficients};
                     },
                 .grad_aux_loss = 0});
  }
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
  backward.grad_aux_loss = static_cast<float>(alpha_);
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
  double loss = alpha_ * result.aux_loss;
  for (size_t i = 0; i < g_.size(); ++i) loss += g_[i] * result.y.data()[i];
  EXPECT_NEAR(ReferenceLoss(spec_, inputs, routes_, g_, alpha_), loss, 1e-5);

  ExpectDerivative(inputs.x, inputs, gradient.grad_x.values(), "x");
  ASSERT_OK_AND_ASSIGN(const auto gradients,
                       ReadAll(*api_, "moe", ParameterKind::kGradient));
  for (auto& [name, value] : inputs.parameters) {
    if (name == "gate.score_correction_bias") continue;  // Constant.
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
        GradientCase{"k2_identity", 2, IdentityExpertSpec{}, 5},
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

void AddBranch(LayerSpec& spec, BranchMix mix) {
  spec.dense_branch = DenseBranchSpec{
      .expert = GatedExpertSpec{.ffn_size = 9, .bias = true}, .mix = mix};
}

constexpr GatedExpertSpec kSwiGlu{.ffn_size = 7};

INSTANTIATE_TEST_SUITE_P(
    Branches, LayerGradientTest,
    ::testing::Values(
        GradientCase{"sum", 2, kSwiGlu, 5, false,
                     [](LayerSpec& s) { AddBranch(s, BranchMix::kSum); }},
        GradientCase{
            "sigmoid_gate", 2, kSwiGlu, 5, false,
            [](LayerSpec& s) { AddBranch(s, BranchMix::kSigmoidGate); }},
        GradientCase{
            "coefficients_drops", 1, LinearExpertSpec{}, 0.5, false,
            [](LayerSpec& s) { AddBranch(s, BranchMix::kCoefficients); }},
        GradientCase{
            "coefficients_exact", 4, LinearExpertSpec{}, 5, true,
            [](LayerSpec& s) { AddBranch(s, BranchMix::kCoefficients); }},
        GradientCase{"scale", 2, kSwiGlu, 5, false,
                     [](LayerSpec& s) { AddBranch(s, BranchMix::kScale); }}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Routers, LayerGradientTest,
    ::testing::Values(
        GradientCase{"sigmoid_normalised_scaled", 3, kSwiGlu, 5, false,
                     [](LayerSpec& s) {
                       s.gate.score_function = ScoreFunction::kSigmoid;
                       s.gate.score_correction_bias = true;
                       s.gate.normalization = WeightNormalization::kChosen;
                       s.gate.normalization_epsilon = 1e-20f;
                       s.gate.scaling_factor = 2.5f;
                     },
                     0.0f},
        GradientCase{"sqrt_softplus", 2, kSwiGlu, 5, false,
                     [](LayerSpec& s) {
                       s.gate.score_function = ScoreFunction::kSqrtSoftplus;
                       s.gate.normalization = WeightNormalization::kChosen;
                     },
                     0.0f},
        GradientCase{"gpt_oss", 4,
                     GatedExpertSpec{.ffn_size = 7,
                                     .bias = true,
                                     .clamp = ClampedGateSpec{.limit = 1.0f}},
                     5, false,
                     [](LayerSpec& s) {
                       s.gate.bias = true;
                       s.gate.rank_by = RankBy::kLogits;
                       s.gate.normalization =
                           WeightNormalization::kChosenSoftmax;
                     },
                     0.0f},
        GradientCase{"weights_on_inputs", 2, kSwiGlu, 5, false,
                     [](LayerSpec& s) {
                       s.gate.score_function = ScoreFunction::kSigmoid;
                       s.gate.normalization = WeightNormalization::kNone;
                       s.gate.weight_application = WeightApplication::kInput;
                       AddBranch(s, BranchMix::kSum);
                     },
                     0.0f},
        GradientCase{"weights_on_inputs_exact", 3, kSwiGlu, 5, true,
                     [](LayerSpec& s) {
                       s.gate.score_function = ScoreFunction::kSigmoid;
                       s.gate.normalization = WeightNormalization::kNone;
                       s.gate.weight_application = WeightApplication::kInput;
                     },
                     0.0f}),
    [](const auto& tested) { return tested.param.name; });

// A client that routed itself gets the gradient of its weights, and the gate
// gets none.
TEST_F(PreRoutedGradientTest, EqualsFiniteDifferences) {
  ForwardRequest forward;
  forward.layer = "moe";
  forward.mode = Mode::kTrain;
  forward.x = RandomTensor({kTokens, spec_.hidden_size}, 1);
  for (int32_t entry = 0; entry < kTokens * 2; ++entry) {
    forward.topk_ids.push_back(entry % 7 == 0 ? -1 : entry * 3 % 5);
    forward.topk_weights.push_back(0.1f * static_cast<float>(entry % 9));
  }
  ASSERT_OK_AND_ASSIGN(const ForwardResult result, api_->Forward(forward));
  EXPECT_EQ(result.aux_loss, 0);
  routes_.expert_ids = forward.topk_ids;
  BackwardRequest backward;
  backward.layer = "moe";
  backward.step = result.step;
  backward.microbatch = result.microbatch;
  backward.grad_y = RandomTensor({kTokens, spec_.hidden_size}, 2);
  g_ = ToDoubles(backward.grad_y.values());
  ASSERT_OK_AND_ASSIGN(const BackwardResult gradient, api_->Backward(backward));

  ReferenceInputs inputs;
  inputs.num_tokens = kTokens;
  inputs.x = ToDoubles(forward.x.values());
  inputs.topk_weights = ToDoubles(forward.topk_weights);
  ASSERT_OK_AND_ASSIGN(const auto values, ReadAll(*api_, "moe"));
  for (const auto& [name, value] : values) {
    inputs.parameters[name] = ToDoubles(value);
  }
  ExpectDerivative(inputs.x, inputs, gradient.grad_x.values(), "x");
  ExpectDerivative(inputs.topk_weights, inputs, gradient.grad_topk_weights,
                   "topk_weights");
  ASSERT_OK_AND_ASSIGN(const auto gradients,
                       ReadAll(*api_, "moe", ParameterKind::kGradient));
  for (auto& [name, value] : inputs.parameters) {
    ExpectDerivative(value, inputs, gradients.at(name), name);
  }
}

}  // namespace
}  // namespace switchyard::testing
