// Names, shapes and numbering of a layer's parameters.
#ifndef SWITCHYARD_COMMON_MODEL_PARAMETERS_H_
#define SWITCHYARD_COMMON_MODEL_PARAMETERS_H_

#include <cstdint>
#include <set>
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
  // 0: the initial value is `initial_value` throughout.
  int64_t fan_in = 0;
  float initial_value = 0;
  // Takes no gradient (the correction bias of scores).
  bool constant = false;
  DType dtype = DType::kFloat32;

  int64_t num_elements() const;
  // Elements that are written together: a row of a matrix.
  int64_t row_elements() const { return shape.size() < 2 ? 1 : shape.back(); }
};

// The parameters of one expert, in the order in which experts hold them, those
// of a bias only where the expert has one:
//   linear: weight, bias
//   mlp:    fc1.weight, fc1.bias, fc2.weight, fc2.bias
//   gated:  gate_proj.weight, gate_proj.bias, up_proj.weight, up_proj.bias,
//           down_proj.weight, down_proj.bias
// Names begin with `experts.<id>.`, or with `dense.` for the dense branch
// (expert_id == spec.branch_id()).
std::vector<ParameterSpec> ExpertParameters(const LayerSpec& spec,
                                            int32_t expert_id);

// The parameters that the gateway owns, each where the layer has it, numbered
// by idx_in_expert:
//   gate.weight [num_experts, hidden_size]
//   gate.bias [num_experts]
//   gate.score_correction_bias [num_experts], constant
//   dense_gate.weight [1, hidden_size]                (BranchMix::kSigmoidGate)
//   coefficient.weight [2, hidden_size], coefficient.bias [2]
//                                                    (BranchMix::kCoefficients)
//   dense_scale [1]                                         (BranchMix::kScale)
std::vector<ParameterSpec> GateParameters(const LayerSpec& spec);

// The names of all parameters with `*` for the expert id.
std::set<std::string> ParameterPatterns(const LayerSpec& spec);

// Looks a name up. NOT_FOUND if the layer has no such parameter.
absl::StatusOr<ParameterSpec> FindParameter(const LayerSpec& spec,
                                            absl::string_view name);

// All parameters: the gate's, then by expert.
std::vector<ParameterSpec> AllParameters(const LayerSpec& spec);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_PARAMETERS_H_
