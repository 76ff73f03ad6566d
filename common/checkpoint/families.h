// How each family's config.json describes its MoE layers. Sources: the
// configuration_*.py and modeling_*.py of Hugging Face transformers 5.23.
// Internal to this folder.
#ifndef SWITCHYARD_COMMON_CHECKPOINT_FAMILIES_H_
#define SWITCHYARD_COMMON_CHECKPOINT_FAMILIES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "common/checkpoint/config_reader.h"
#include "common/model/layer_spec.h"

namespace switchyard::families {

// See ModelDescription::layers; `origin.model_type` is set by the caller.
using Layers = absl::StatusOr<std::vector<LayerSpec>>;

Layers Mixtral(const ConfigReader& config);
Layers Phimoe(const ConfigReader& config);
Layers GraniteMoe(const ConfigReader& config);
Layers GptOss(const ConfigReader& config);
Layers Llama4Text(const ConfigReader& config);

Layers Qwen2Moe(const ConfigReader& config);
Layers Qwen3Moe(const ConfigReader& config);
Layers Olmoe(const ConfigReader& config);
Layers Ernie45Moe(const ConfigReader& config);
Layers HunyuanV1Moe(const ConfigReader& config);

Layers DeepseekV2(const ConfigReader& config);
Layers DeepseekV3(const ConfigReader& config);
Layers Glm4Moe(const ConfigReader& config);

Layers SwitchTransformers(const ConfigReader& config);
Layers NllbMoe(const ConfigReader& config);

}  // namespace switchyard::families

#endif  // SWITCHYARD_COMMON_CHECKPOINT_FAMILIES_H_
