#include "tests/golden/golden_testing.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "common/model/parameters.h"
#include "tests/testing/parameters_testing.h"
#include "tests/testing/remote_layer_api.h"

namespace switchyard::testing {
namespace {

// A case's array for one of our parameters: experts are stacked on its first
// dimension, under the names w, b or w1, b1, w2, b2.
std::string ArrayOf(const ParameterSpec& parameter, const LayerSpec& spec) {
  if (parameter.expert_id == kGateOwner) {
    if (parameter.name == "coefficient.weight") return "coef_w";
    return parameter.name == "coefficient.bias" ? "coef_b" : "wg";
  }
  const bool is_mlp = std::holds_alternative<MlpExpertSpec>(spec.expert);
  static const char* const kLinear[] = {"w", "b"};
  static const char* const kMlp[] = {"w1", "b1", "w2", "b2"};
  return absl::StrCat(
      parameter.expert_id == spec.branch_id() ? "mlp_" : "expert_",
      (is_mlp ? kMlp : kLinear)[parameter.idx_in_expert]);
}

absl::Span<const float> PartOf(const Tensor& stacked, const LayerSpec& spec,
                               const ParameterSpec& parameter) {
  const size_t n = static_cast<size_t>(parameter.num_elements());
  const bool is_stacked = parameter.expert_id != kGateOwner &&
                          parameter.expert_id != spec.branch_id();
  const size_t first =
      is_stacked ? n * static_cast<size_t>(parameter.expert_id) : 0;
  return absl::Span<const float>(stacked.values()).subspan(first, n);
}

ExpertSpec ExpertOf(const nlohmann::json& params) {
  if (params.at("expert_kind") == "linear") return LinearExpertSpec{};
  const std::string activation = params.at("activation");
  return MlpExpertSpec{.ffn_size = params.at("ffn"),
                       .activation = activation == "relu" ? Activation::kRelu
                                     : activation == "gelu"
                                         ? Activation::kGelu
                                         : Activation::kGeluTanh};
}

OptimizerSpec OptimizerOf(const std::string& description) {
  if (description.rfind("sgd", 0) == 0) return SgdSpec{.momentum = 0.9f};
  return AdamSpec{.beta1 = 0.8f,
                  .beta2 = 0.999f,
                  .epsilon = 1e-8f,
                  .weight_decay = 3e-7f,
                  .decoupled = true};
}

NoisePolicy NoiseOf(const nlohmann::json& params) {
  const auto it = params.find("noisy_gate_policy");
  if (it == params.end() || it->is_null()) return NoisePolicy::kNone;
  return *it == "Jitter" ? NoisePolicy::kJitter : NoisePolicy::kRSample;
}

}  // namespace

LayerSpec SpecOf(const GoldenCase& golden_case) {
  const nlohmann::json& params = golden_case.params();
  LayerSpec spec;
  spec.name = golden_case.name;
  spec.num_experts = params.at("experts");
  // A gating case's tokens are its logits.
  spec.hidden_size = params.value("hidden", int64_t{spec.num_experts});
  spec.expert = params.contains("expert_kind") ? ExpertOf(params)
                                               : ExpertSpec(LinearExpertSpec{});
  spec.gate.k = params.at("k");
  spec.gate.noise_policy = NoiseOf(params);
  spec.gate.use_rts = params.value("use_rts", false);
  spec.gate.second_expert_sampling =
      params.value("top2_2nd_expert_sampling", false);
  if (params.contains("drop_policy") && params["drop_policy"] == "position") {
    spec.gate.drop_policy = DropPolicy::kPosition;
  }
  if (params.value("use_residual", false)) {
    spec.dense_branch =
        DenseBranchSpec{.expert = spec.expert, .mix = BranchMix::kCoefficients};
  }
  spec.capacity.capacity_factor = params.at("capacity_factor");
  if (!params.value("training", true)) {
    spec.capacity.eval_capacity_factor = params.at("eval_capacity_factor");
  }
  spec.capacity.min_capacity = params.at("min_capacity");
  spec.capacity.drop_tokens = params.at("drop_tokens");
  spec.aux_loss_coefficient = golden_case.entry.value("alpha", 0.0f);
  if (params.contains("optimizer")) {
    spec.optimizer = OptimizerOf(params["optimizer"]);
  }
  // No sum may depend on the number of workers.
  spec.exact_combine = true;
  return spec;
}

std::optional<std::string> NotOffered(const GoldenCase& golden_case) {
  const nlohmann::json& params = golden_case.params();
  if (params.at("k") > params.at("experts")) {
    return "k > num_experts is refused";
  }
  return std::nullopt;
}

std::unique_ptr<LayerApi> ApiFor(const GoldenArrays& arrays, int num_workers) {
  if (!arrays.Has("jitter_uniform") && !arrays.Has("gumbel") &&
      !arrays.Has("rts_uniform")) {
    return MakeRemoteLayerApi(num_workers);
  }
  auto api = MakeDrawnLayerApi(num_workers);
  api->SetDraws({.jitter = arrays.FloatsOrEmpty("jitter_uniform"),
                 .gumbel = arrays.FloatsOrEmpty("gumbel"),
                 .rts_uniform = arrays.FloatsOrEmpty("rts_uniform")});
  return api;
}

void ExpectClose(absl::Span<const float> got, absl::Span<const float> want,
                 double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double largest = 0;
  for (const float w : want) largest = std::max(largest, std::fabs(double{w}));
  const double bound = 2e-6 + tolerance * largest;
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], bound) << what << " at " << i;
  }
}

absl::Status WriteGoldenParameters(LayerApi& api, const LayerSpec& spec,
                                   const GoldenArrays& arrays) {
  for (const ParameterSpec& parameter : AllParameters(spec)) {
    const Tensor stacked = arrays.Floats(ArrayOf(parameter, spec));
    SWITCHYARD_RETURN_IF_ERROR(WriteWhole(api, spec, parameter.name,
                                          PartOf(stacked, spec, parameter)));
  }
  return absl::OkStatus();
}

void ExpectGoldenParameters(LayerApi& api, const LayerSpec& spec,
                            const GoldenArrays& arrays,
                            const std::string& prefix, ParameterKind kind,
                            double tolerance) {
  ASSERT_OK_AND_ASSIGN(const auto values, ReadAll(api, spec.name, kind));
  for (const ParameterSpec& parameter : AllParameters(spec)) {
    const Tensor stacked =
        arrays.Floats(absl::StrCat(prefix, ArrayOf(parameter, spec)));
    // The bound is for the array as a whole, so scale by its maximum.
    double largest = 0;
    for (const float w : stacked.values()) {
      largest = std::max(largest, std::fabs(double{w}));
    }
    const absl::Span<const float> want = PartOf(stacked, spec, parameter);
    const std::vector<float>& got = values.at(parameter.name);
    ASSERT_EQ(got.size(), want.size()) << parameter.name;
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 2e-6 + tolerance * largest)
          << prefix << parameter.name << " at " << i;
    }
  }
}

}  // namespace switchyard::testing
