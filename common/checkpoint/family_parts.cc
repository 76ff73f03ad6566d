#include "common/checkpoint/family_parts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard::families {

absl::StatusOr<Activation> ReadActivation(const ConfigReader& config,
                                          absl::string_view field,
                                          absl::string_view fallback) {
  SWITCHYARD_ASSIGN_OR_RETURN(const std::string name,
                              config.String(field, fallback));
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") {
    return Activation::kGeluTanh;
  }
  return config.Refuse(
      field, "silu, swish, relu, gelu, gelu_new or gelu_pytorch_tanh");
}

absl::StatusOr<int64_t> ReadNumLayers(const ConfigReader& config,
                                      absl::string_view field,
                                      std::optional<int64_t> fallback) {
  // Many times what anyone trains.
  constexpr int64_t kMaxLayers = 4096;
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                              config.Integer(field, 1, fallback));
  if (num_layers <= kMaxLayers) return num_layers;
  return config.Refuse(field, absl::StrCat("at most ", kMaxLayers));
}

absl::StatusOr<GatedExpertSpec> ReadGatedExpert(const ConfigReader& config,
                                                absl::string_view field) {
  GatedExpertSpec expert;
  SWITCHYARD_ASSIGN_OR_RETURN(expert.ffn_size, config.Integer(field, 1));
  SWITCHYARD_ASSIGN_OR_RETURN(expert.activation,
                              ReadActivation(config, "hidden_act", "silu"));
  return expert;
}

GateSpec SoftmaxGate(int64_t k, bool renormalises) {
  GateSpec gate;
  gate.k = static_cast<int32_t>(k);
  gate.normalization =
      renormalises ? WeightNormalization::kChosen : WeightNormalization::kNone;
  gate.use_rts = false;
  gate.aux_losses = {
      {.kind = AuxLossKind::kSwitch, .coefficient = static_cast<float>(k)}};
  return gate;
}

absl::StatusOr<LayerSpec> DroplessLayer(const ConfigReader& config,
                                        int64_t num_experts,
                                        const ExpertSpec& expert,
                                        const GateSpec& gate,
                                        float aux_loss_fallback) {
  LayerSpec layer;
  SWITCHYARD_ASSIGN_OR_RETURN(layer.hidden_size,
                              config.Integer("hidden_size", 1));
  layer.num_experts = static_cast<int32_t>(num_experts);
  layer.expert = expert;
  layer.gate = gate;
  layer.capacity.drop_tokens = false;
  SWITCHYARD_ASSIGN_OR_RETURN(
      layer.aux_loss_coefficient,
      config.Number("router_aux_loss_coef", aux_loss_fallback));
  return layer;
}

void AddSharedExperts(int64_t width_factor, LayerSpec& layer) {
  if (width_factor == 0) return;
  auto shared = std::get<GatedExpertSpec>(layer.expert);
  shared.ffn_size *= width_factor;
  layer.dense_branch = DenseBranchSpec{.expert = shared};
}

std::vector<LayerSpec> RepeatInDecoder(
    const LayerSpec& layer, int64_t num_layers, absl::string_view block,
    const std::function<bool(int64_t)>& is_sparse) {
  std::vector<LayerSpec> layers;
  for (int64_t i = 0; i < num_layers; ++i) {
    if (!is_sparse(i)) continue;
    layers.push_back(layer);
    SetModule(absl::StrCat("layers.", i, ".", block), layers.back());
  }
  return layers;
}

void SetModule(std::string module, LayerSpec& layer) {
  layer.name = module;
  layer.origin = HuggingFaceOrigin{.module = std::move(module)};
}

}  // namespace switchyard::families
