// Families of which every layer of the decoder, or a list of them, is sparse.
#include <algorithm>

#include "common/base/status_macros.h"
#include "common/checkpoint/families.h"
#include "common/checkpoint/family_parts.h"

namespace switchyard::families {
namespace {

constexpr float kAuxLoss = 0.001f;

absl::StatusOr<int64_t> NumLayers(const ConfigReader& config) {
  return ReadNumLayers(config, "num_hidden_layers");
}

bool EveryLayer(int64_t) { return true; }

// Multiplies what the block gets, in training: the router and the experts both
// see it.
absl::Status ReadInputJitter(const ConfigReader& config, const char* field,
                             GateSpec& gate) {
  SWITCHYARD_ASSIGN_OR_RETURN(const float jitter, config.Number(field, 0.0f));
  if (jitter == 0) return absl::OkStatus();
  gate.noise_policy = NoisePolicy::kJitter;
  gate.jitter_epsilon = jitter;
  gate.jitter_expert_input = true;
  return absl::OkStatus();
}

// Sizes that Mixtral, Phi-3.5-MoE, Granite and GPT-OSS name alike.
absl::StatusOr<LayerSpec> MixtralLike(const ConfigReader& config,
                                      const ExpertSpec& expert,
                                      const GateSpec& gate) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_experts,
      config.Integer({"num_local_experts", "num_experts"}, 1));
  return DroplessLayer(config, num_experts, expert, gate, kAuxLoss);
}

}  // namespace

Layers Mixtral(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t k,
                              config.Integer("num_experts_per_tok", 1, 2));
  GateSpec gate = SoftmaxGate(k, /*renormalises=*/true);
  SWITCHYARD_RETURN_IF_ERROR(
      ReadInputJitter(config, "router_jitter_noise", gate));
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerSpec layer,
                              MixtralLike(config, expert, gate));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers, NumLayers(config));
  return RepeatInDecoder(layer, num_layers, "block_sparse_moe", EveryLayer);
}

Layers Phimoe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t k,
                              config.Integer("num_experts_per_tok", 1, 2));
  GateSpec gate = SoftmaxGate(k, /*renormalises=*/false);
  gate.selection = Selection::kSparseMixer;
  SWITCHYARD_ASSIGN_OR_RETURN(gate.sparsemixer_epsilon,
                              config.Number("router_jitter_noise", 0.01f));
  SWITCHYARD_RETURN_IF_ERROR(
      ReadInputJitter(config, "input_jitter_noise", gate));
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerSpec layer,
                              MixtralLike(config, expert, gate));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers, NumLayers(config));
  return RepeatInDecoder(layer, num_layers, "block_sparse_moe", EveryLayer);
}

Layers GraniteMoe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t k,
                              config.Integer("num_experts_per_tok", 1, 2));
  GateSpec gate = SoftmaxGate(k, /*renormalises=*/false);
  gate.rank_by = RankBy::kLogits;
  gate.normalization = WeightNormalization::kChosenSoftmax;
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerSpec layer,
                              MixtralLike(config, expert, gate));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers, NumLayers(config));
  return RepeatInDecoder(layer, num_layers, "block_sparse_moe", EveryLayer);
}

Layers GptOss(const ConfigReader& config) {
  GatedExpertSpec expert;
  SWITCHYARD_ASSIGN_OR_RETURN(expert.ffn_size,
                              config.Integer("intermediate_size", 1));
  expert.bias = true;
  expert.clamp.emplace();
  SWITCHYARD_ASSIGN_OR_RETURN(expert.clamp->limit,
                              config.Number("swiglu_limit", 7.0f));
  SWITCHYARD_ASSIGN_OR_RETURN(expert.clamp->alpha,
                              config.Number("swiglu_alpha", 1.702f));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t k,
                              config.Integer("num_experts_per_tok", 1, 4));
  GateSpec gate = SoftmaxGate(k, /*renormalises=*/false);
  gate.bias = true;
  gate.rank_by = RankBy::kLogits;
  gate.normalization = WeightNormalization::kChosenSoftmax;
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerSpec layer,
                              MixtralLike(config, expert, gate));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers, NumLayers(config));
  return RepeatInDecoder(layer, num_layers, "mlp", EveryLayer);
}

Layers Llama4Text(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GatedExpertSpec expert,
                              ReadGatedExpert(config, "intermediate_size"));
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t k,
                              config.Integer("num_experts_per_tok", 1, 1));
  GateSpec gate = SoftmaxGate(k, /*renormalises=*/false);
  gate.score_function = ScoreFunction::kSigmoid;
  gate.rank_by = RankBy::kLogits;
  gate.weight_application = WeightApplication::kInput;
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_experts,
      config.Integer({"num_local_experts", "num_experts"}, 1));
  SWITCHYARD_ASSIGN_OR_RETURN(
      LayerSpec layer,
      DroplessLayer(config, num_experts, expert, gate, kAuxLoss));
  AddSharedExperts(1, layer);
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers, NumLayers(config));
  SWITCHYARD_ASSIGN_OR_RETURN(const auto listed, config.Integers("moe_layers"));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t step, config.Integer("interleave_moe_layer_step", 1, 1));
  return RepeatInDecoder(
      layer, num_layers, "feed_forward", [&listed, step](int64_t i) {
        if (!listed.has_value()) return (i + 1) % step == 0;
        return std::find(listed->begin(), listed->end(), i) != listed->end();
      });
}

}  // namespace switchyard::families
