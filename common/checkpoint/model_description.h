#ifndef SWITCHYARD_COMMON_CHECKPOINT_MODEL_DESCRIPTION_H_
#define SWITCHYARD_COMMON_CHECKPOINT_MODEL_DESCRIPTION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/layer_spec.h"

namespace switchyard {

// The MoE layers of a model as its config.json describes them.
struct ModelDescription {
  // The family: its `model_type`, e.g. "mixtral".
  std::string family;
  // In the model's order. `name` and `origin.module` are the path of the MoE
  // block in the model without what `prefixes` puts before it, e.g.
  // "layers.3.mlp". Dtypes of parameters are not known yet.
  std::vector<LayerSpec> layers;
  // What may stand before those paths in tensors' names, depending on the class
  // that saved the model; likeliest first.
  std::vector<std::string> prefixes;
};

// Recognises the family by `model_type`, else by `architectures`, and reads the
// settings of its MoE layers. Every layer passes Validate. `name` stands for
// the file in errors, which are INVALID_ARGUMENT and name the field: an unknown
// family, a setting out of range, one that this project does not compute
// (quantised weights, biases in the experts), a model without MoE layers.
//
// Layers come out ready to train: with the gate's noise, the losses and the
// coefficient that the configuration gives. Eval mode answers what the MoE
// block of Hugging Face transformers answers.
absl::StatusOr<ModelDescription> DescribeModel(const nlohmann::json& config,
                                               absl::string_view name);

// The families that DescribeModel knows, in alphabetical order.
std::vector<std::string> ModelFamilies();

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CHECKPOINT_MODEL_DESCRIPTION_H_
