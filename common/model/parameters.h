// Names, shapes and numbering of a layer's parameters.
#ifndef SWITCHYARD_COMMON_MODEL_PARAMETERS_H_
#define SWITCHYARD_COMMON_MODEL_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// Expert id of the parameters that the gateway owns.
inline constexpr int32_t kGateOwner = -1;

struct ParameterSpec {
  std::string name;
  // kGateOwner, or the expert the parameter belongs to.
  int32_t expert_id = kGateOwner;
  // Position among its expert's parameters.
  int32_t idx_in_expert = 0;
  Shape shape;
  // Number of inputs of the linear map it belongs to; sets its initial range.
  int64_t fan_in = 0;

  int64_t num_elements() const;
};

// The parameters of one expert, in the order in which experts hold them:
// linear: weight, bias; mlp: fc1.weight, fc1.bias, fc2.weight, fc2.bias.
std::vector<ParameterSpec> ExpertParameters(const LayerSpec& spec,
                                            int32_t expert_id);

// `gate.weight` [num_experts, hidden_size].
ParameterSpec GateParameter(const LayerSpec& spec);

// Looks a name up. NOT_FOUND if the layer has no such parameter.
absl::StatusOr<ParameterSpec> FindParameter(const LayerSpec& spec,
                                            absl::string_view name);

// All parameters: the gate's, then by expert.
std::vector<ParameterSpec> AllParameters(const LayerSpec& spec);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_PARAMETERS_H_
