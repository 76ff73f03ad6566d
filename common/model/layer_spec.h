// The description of one MoE layer. Mirrors proto/switchyard/v1/layer.proto,
// where each field's meaning and default is documented.
#ifndef SWITCHYARD_COMMON_MODEL_LAYER_SPEC_H_
#define SWITCHYARD_COMMON_MODEL_LAYER_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"

namespace switchyard {

enum class Activation { kRelu, kGelu, kGeluTanh };
enum class NoisePolicy { kNone, kJitter, kRSample };
enum class DropPolicy { kProbs, kPosition };
enum class Mode { kTrain, kEval };

struct LinearExpertSpec {};
struct MlpExpertSpec {
  int64_t ffn_size = 0;
  Activation activation = Activation::kRelu;
};
using ExpertSpec = std::variant<LinearExpertSpec, MlpExpertSpec>;

struct GateSpec {
  int32_t k = 1;
  NoisePolicy noise_policy = NoisePolicy::kNone;
  bool use_rts = true;
  bool second_expert_sampling = false;
  DropPolicy drop_policy = DropPolicy::kProbs;
};

struct CapacitySpec {
  float capacity_factor = 1.0f;
  // nullopt: eval mode is dropless.
  std::optional<float> eval_capacity_factor;
  int64_t min_capacity = 4;
  // false: train mode is dropless too.
  bool drop_tokens = true;
};

struct SgdSpec {
  float momentum = 0.0f;
  float weight_decay = 0.0f;
};
// Adam (weight decay in the gradient) and AdamW (decoupled).
struct AdamSpec {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;
  bool decoupled = false;
};
using OptimizerSpec = std::variant<AdamSpec, SgdSpec>;

struct LayerSpec {
  std::string name;
  int64_t hidden_size = 0;
  int32_t num_experts = 0;
  ExpertSpec expert;
  GateSpec gate;
  CapacitySpec capacity;
  float aux_loss_coefficient = 0.0f;
  OptimizerSpec optimizer;
  uint64_t seed = 0;
  // 0: all workers present at creation.
  int32_t ep_size = 0;
  bool exact_combine = false;
};

// INVALID_ARGUMENT naming the first field that is out of its range.
absl::Status Validate(const LayerSpec& spec);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_LAYER_SPEC_H_
