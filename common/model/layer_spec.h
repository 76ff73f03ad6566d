// The description of one MoE layer. Mirrors proto/switchyard/v1/layer.proto,
// where each field's meaning and default is documented.
#ifndef SWITCHYARD_COMMON_MODEL_LAYER_SPEC_H_
#define SWITCHYARD_COMMON_MODEL_LAYER_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "common/model/expert_spec.h"
#include "common/model/gate_spec.h"
#include "common/tensor/dtype.h"

namespace switchyard {

enum class Mode { kTrain, kEval };

struct CapacitySpec {
  float capacity_factor = 1.0f;
  // nullopt: eval mode is dropless.
  std::optional<float> eval_capacity_factor;
  int64_t min_capacity = 4;
  // false: train mode is dropless too.
  bool drop_tokens = true;
  // Tokens of one local group; 0: the whole request is one.
  int64_t local_group_tokens = 0;
  // Each sequence is a local group.
  bool per_sequence = false;
  // A capacity by itself, instead of the factors; 0: not set.
  int64_t expert_capacity = 0;
  int64_t eval_expert_capacity = 0;
  // Eval mode: the share of all tokens that one expert takes at most; 0: not
  // set.
  float eval_token_fraction = 0.0f;
};

// How the dense branch joins the experts' sum.
enum class BranchMix { kSum, kSigmoidGate, kCoefficients, kScale };

// A dense expert that every token takes: shared experts, the residual MLP.
struct DenseBranchSpec {
  ExpertSpec expert;
  BranchMix mix = BranchMix::kSum;
};

// The dtype in which a parameter is stored.
struct ParameterDType {
  // Its name, with `*` for the expert id.
  std::string parameter;
  DType dtype = DType::kFloat32;
};

// Where an imported layer came from.
struct HuggingFaceOrigin {
  // `model_type` of config.json.
  std::string model_type;
  // Path of the MoE block in the model, e.g. "model.layers.3.mlp".
  std::string module;
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
  std::optional<DenseBranchSpec> dense_branch;
  // Refuses training and keeps neither gradients nor optimizer state.
  bool inference_only = false;
  // Parameters that are not named are float32.
  std::vector<ParameterDType> parameter_dtypes;
  std::optional<HuggingFaceOrigin> origin;
  // Workers hold the experts' matrices as int8, with a scale for each output.
  // Of an inference_only layer.
  bool int8_weights = false;

  // The expert id of the dense branch: one past the routed experts.
  int32_t branch_id() const { return num_experts; }
  // Experts that workers host: the routed ones and the dense branch.
  int32_t num_hosted_experts() const {
    return num_experts + (dense_branch.has_value() ? 1 : 0);
  }
  // What expert `expert_id`, which may be branch_id(), computes.
  const ExpertSpec& expert_of(int32_t expert_id) const {
    return dense_branch.has_value() && expert_id == branch_id()
               ? dense_branch->expert
               : expert;
  }
};

// INVALID_ARGUMENT naming the first field that is out of its range.
absl::Status Validate(const LayerSpec& spec);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_LAYER_SPEC_H_
