// What the families' readers share. Internal to this folder.
#ifndef SWITCHYARD_COMMON_CHECKPOINT_FAMILY_PARTS_H_
#define SWITCHYARD_COMMON_CHECKPOINT_FAMILY_PARTS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/checkpoint/config_reader.h"
#include "common/checkpoint/families.h"
#include "common/model/layer_spec.h"

namespace switchyard::families {

// The activation in `field`.
absl::StatusOr<Activation> ReadActivation(const ConfigReader& config,
                                          absl::string_view field,
                                          absl::string_view fallback);

// The number of layers in `field`. Bounded: layers are described one by one.
absl::StatusOr<int64_t> ReadNumLayers(const ConfigReader& config,
                                      absl::string_view field,
                                      std::optional<int64_t> fallback = {});

// A gated expert without biases whose width is in `field`; the activation is in
// `hidden_act`.
absl::StatusOr<GatedExpertSpec> ReadGatedExpert(const ConfigReader& config,
                                                absl::string_view field);

// Top-k over softmax scores with the coefficient of Hugging Face's
// load_balancing_loss_func, which is k times ours.
GateSpec SoftmaxGate(int64_t k, bool renormalises);

// A layer with sizes, experts and gate, without capacity: every family here
// that decodes only is dropless. Its losses' coefficient is in
// `router_aux_loss_coef`.
absl::StatusOr<LayerSpec> DroplessLayer(const ConfigReader& config,
                                        int64_t num_experts,
                                        const ExpertSpec& expert,
                                        const GateSpec& gate,
                                        float aux_loss_fallback);

// Adds shared experts, `width_factor` times as wide as the routed ones, to
// `layer`; none for a factor of 0.
void AddSharedExperts(int64_t width_factor, LayerSpec& layer);

// Repeats `layer` for each layer of the decoder that `is_sparse`, under the
// path "layers.N.<block>".
std::vector<LayerSpec> RepeatInDecoder(
    const LayerSpec& layer, int64_t num_layers, absl::string_view block,
    const std::function<bool(int64_t)>& is_sparse);

// Gives a layer its path.
void SetModule(std::string module, LayerSpec& layer);

}  // namespace switchyard::families

#endif  // SWITCHYARD_COMMON_CHECKPOINT_FAMILY_PARTS_H_
