// DeepSeek-V2, DeepSeek-V3 and GLM-4.5.
#include "common/base/status_macros.h"
#include "common/checkpoint/families.h"
#include "common/checkpoint/family_parts.h"

namespace switchyard::families {
namespace {

struct Defaults {
  int64_t k;
  int64_t num_shared;
  float scaling_factor;
  int64_t first_dense;
};

// The defaults are those of the family's configuration class.
absl::StatusOr<GroupLimitSpec> ReadGroupLimit(const ConfigReader& config,
                                              GroupScore score,
                                              int64_t default_groups,
                                              int64_t default_selected) {
  GroupLimitSpec limit;
  limit.score = score;
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_groups,
                              config.Integer("n_group", 1, default_groups));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_selected,
      config.Integer("topk_group", 1, default_selected));
  limit.num_groups = static_cast<int32_t>(num_groups);
  limit.num_selected_groups = static_cast<int32_t>(num_selected);
  return limit;
}

// Everything but the gate, whose k and scaling factor are read here too.
Layers ReadLayers(const ConfigReader& config, GateSpec gate,
                  const Defaults& defaults) {
  // transformers and DeepSeek's code make sparse every layer after the first
  // ones; a model with another frequency is none of these.
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("moe_layer_freq", 1));
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("mlp_bias", false));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t k, config.Integer("num_experts_per_tok", 1, defaults.k));
  gate.k = static_cast<int32_t>(k);
  SWITCHYARD_ASSIGN_OR_RETURN(
      gate.scaling_factor,
      config.Number("routed_scaling_factor", defaults.scaling_factor));
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "moe_intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_experts,
      config.Integer({"n_routed_experts", "num_local_experts"}, 1));
  // The name of the coefficient in DeepSeek's own configurations.
  SWITCHYARD_ASSIGN_OR_RETURN(const float aux_loss,
                              config.Number("aux_loss_alpha", 0.001f));
  SWITCHYARD_ASSIGN_OR_RETURN(
      LayerSpec layer,
      DroplessLayer(config, num_experts, expert, gate, aux_loss));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_shared,
      config.Integer("n_shared_experts", 0, defaults.num_shared));
  AddSharedExperts(num_shared, layer);
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                              ReadNumLayers(config, "num_hidden_layers"));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t first_dense,
      config.Integer("first_k_dense_replace", 0, defaults.first_dense));
  return RepeatInDecoder(layer, num_layers, "mlp",
                         [first_dense](int64_t i) { return i >= first_dense; });
}

// The gate of DeepSeek-V3 with the defaults of one of its users.
absl::StatusOr<GateSpec> ReadBiasedGate(const ConfigReader& config) {
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("scoring_func", "sigmoid"));
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("topk_method", "noaux_tc"));
  GateSpec gate;
  gate.use_rts = false;
  gate.score_function = ScoreFunction::kSigmoid;
  gate.score_correction_bias = true;
  SWITCHYARD_ASSIGN_OR_RETURN(const bool renormalises,
                              config.Boolean("norm_topk_prob", true));
  gate.normalization =
      renormalises ? WeightNormalization::kChosen : WeightNormalization::kNone;
  if (renormalises) gate.normalization_epsilon = 1e-20f;
  gate.aux_losses = {{.kind = AuxLossKind::kSequence, .coefficient = 1.0f}};
  return gate;
}

}  // namespace

Layers DeepseekV2(const ConfigReader& config) {
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("scoring_func", "softmax"));
  // transformers does not read it, DeepSeek's code renormalises instead of
  // scaling: there is no answer that would be right for both.
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("norm_topk_prob", false));
  SWITCHYARD_ASSIGN_OR_RETURN(const std::string method,
                              config.String("topk_method", "greedy"));
  GateSpec gate = SoftmaxGate(1, /*renormalises=*/false);
  gate.aux_losses = {{.kind = AuxLossKind::kSequence, .coefficient = 1.0f}};
  if (method == "group_limited_greedy") {
    SWITCHYARD_ASSIGN_OR_RETURN(gate.group_limit,
                                ReadGroupLimit(config, GroupScore::kMax, 1, 1));
  } else if (method != "greedy") {
    return config.Refuse("topk_method", "greedy or group_limited_greedy");
  }
  return ReadLayers(
      config, gate,
      {.k = 6, .num_shared = 2, .scaling_factor = 1.0f, .first_dense = 0});
}

Layers DeepseekV3(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(GateSpec gate, ReadBiasedGate(config));
  SWITCHYARD_ASSIGN_OR_RETURN(
      gate.group_limit, ReadGroupLimit(config, GroupScore::kTop2Sum, 8, 4));
  // With one group there is nothing to limit, whatever its experts' number.
  if (gate.group_limit->num_groups == 1) gate.group_limit.reset();
  return ReadLayers(
      config, gate,
      {.k = 8, .num_shared = 1, .scaling_factor = 2.5f, .first_dense = 3});
}

Layers Glm4Moe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(GateSpec gate, ReadBiasedGate(config));
  SWITCHYARD_ASSIGN_OR_RETURN(
      gate.group_limit, ReadGroupLimit(config, GroupScore::kTop2Sum, 1, 1));
  if (gate.group_limit->num_groups == 1) gate.group_limit.reset();
  return ReadLayers(
      config, gate,
      {.k = 8, .num_shared = 1, .scaling_factor = 1.0f, .first_dense = 1});
}

}  // namespace switchyard::families
