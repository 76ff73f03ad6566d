// Families whose sparse layers stand in the place of a dense "mlp".
#include <algorithm>

#include "common/base/status_macros.h"
#include "common/checkpoint/families.h"
#include "common/checkpoint/family_parts.h"

namespace switchyard::families {
namespace {

constexpr char kBlock[] = "mlp";

struct QwenDefaults {
  int64_t k;
  float aux_loss;
  const char* ffn_size_field;
};

// Qwen2-MoE, Qwen3-MoE and OLMoE but for what is beside the routed experts.
absl::StatusOr<LayerSpec> QwenLike(const ConfigReader& config,
                                   const QwenDefaults& defaults) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, defaults.ffn_size_field));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t k, config.Integer("num_experts_per_tok", 1, defaults.k));
  SWITCHYARD_ASSIGN_OR_RETURN(const bool renormalises,
                              config.Boolean("norm_topk_prob", false));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_experts,
      config.Integer({"num_experts", "num_local_experts"}, 1));
  return DroplessLayer(config, num_experts, expert,
                       SoftmaxGate(k, renormalises), defaults.aux_loss);
}

// Every decoder_sparse_step-th layer that mlp_only_layers does not name.
Layers RepeatAsQwen(const ConfigReader& config, const LayerSpec& layer) {
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                              ReadNumLayers(config, "num_hidden_layers"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t step,
                              config.Integer("decoder_sparse_step", 1, 1));
  SWITCHYARD_ASSIGN_OR_RETURN(const auto dense,
                              config.Integers("mlp_only_layers"));
  return RepeatInDecoder(layer, num_layers, kBlock, [step, &dense](int64_t i) {
    const bool is_dense =
        dense.has_value() &&
        std::find(dense->begin(), dense->end(), i) != dense->end();
    return !is_dense && (i + 1) % step == 0;
  });
}

}  // namespace

Layers Qwen2Moe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      LayerSpec layer,
      QwenLike(config, {.k = 4,
                        .aux_loss = 0.001f,
                        .ffn_size_field = "moe_intermediate_size"}));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const GatedExpertSpec shared,
      ReadGatedExpert(config, "shared_expert_intermediate_size"));
  layer.dense_branch =
      DenseBranchSpec{.expert = shared, .mix = BranchMix::kSigmoidGate};
  return RepeatAsQwen(config, layer);
}

Layers Qwen3Moe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const LayerSpec layer,
      QwenLike(config, {.k = 8,
                        .aux_loss = 0.001f,
                        .ffn_size_field = "moe_intermediate_size"}));
  return RepeatAsQwen(config, layer);
}

Layers Olmoe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const LayerSpec layer,
      QwenLike(
          config,
          {.k = 8, .aux_loss = 0.01f, .ffn_size_field = "intermediate_size"}));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                              ReadNumLayers(config, "num_hidden_layers"));
  return RepeatInDecoder(layer, num_layers, kBlock,
                         [](int64_t) { return true; });
}

Layers Ernie45Moe(const ConfigReader& config) {
  // It would give the shared experts biases and the routed ones none.
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("use_bias", false));
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "moe_intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t k, config.Integer("moe_k", 1, 6));
  GateSpec gate = SoftmaxGate(k, /*renormalises=*/true);
  gate.score_correction_bias = true;
  SWITCHYARD_ASSIGN_OR_RETURN(gate.normalization_floor,
                              config.Number("moe_norm_min", 1e-12f));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_experts,
      config.Integer({"moe_num_experts", "num_experts"}, 1));
  SWITCHYARD_ASSIGN_OR_RETURN(
      LayerSpec layer,
      DroplessLayer(config, num_experts, expert, gate, 0.001f));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_shared,
                              config.Integer("moe_num_shared_experts", 0, 2));
  AddSharedExperts(num_shared, layer);
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                              ReadNumLayers(config, "num_hidden_layers"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t first,
                              config.Integer("moe_layer_start_index", 0, 1));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t end,
                              config.Integer("moe_layer_end_index", -1, -1));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t interval,
                              config.Integer("moe_layer_interval", 1, 1));
  const int64_t last = end == -1 ? num_layers - 1 : end;
  return RepeatInDecoder(
      layer, num_layers, kBlock, [first, last, interval](int64_t i) {
        return (i + 1) % interval == 0 && i >= first && i <= last;
      });
}

Layers HunyuanV1Moe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                              ReadNumLayers(config, "num_hidden_layers"));
  const char* const experts_field =
      config.Has("num_experts") ? "num_experts" : "num_local_experts";
  std::vector<LayerSpec> layers;
  for (int64_t i = 0; i < num_layers; ++i) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const int64_t k, config.IntegerOfLayer("moe_topk", i, num_layers, 1));
    SWITCHYARD_ASSIGN_OR_RETURN(
        const int64_t num_experts,
        config.IntegerOfLayer(experts_field, i, num_layers, 1));
    SWITCHYARD_ASSIGN_OR_RETURN(
        LayerSpec layer,
        DroplessLayer(config, num_experts, expert,
                      SoftmaxGate(k, /*renormalises=*/true), 0.001f));
    AddSharedExperts(1, layer);
    SetModule(absl::StrCat("layers.", i, ".", kBlock), layer);
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace switchyard::families
