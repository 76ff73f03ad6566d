#include "common/checkpoint/model_description.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/config_reader.h"
#include "common/checkpoint/families.h"

namespace switchyard {
namespace {

struct Family {
  const char* model_type;
  // What classes of this family are called, up to "For...".
  const char* architecture;
  families::Layers (*read)(const ConfigReader&);
};

// By name.
constexpr Family kFamilies[] = {
    {"deepseek_v2", "DeepseekV2", families::DeepseekV2},
    {"deepseek_v3", "DeepseekV3", families::DeepseekV3},
    {"ernie4_5_moe", "Ernie4_5_Moe", families::Ernie45Moe},
    {"glm4_moe", "Glm4Moe", families::Glm4Moe},
    {"gpt_oss", "GptOss", families::GptOss},
    {"granitemoe", "GraniteMoe", families::GraniteMoe},
    {"hunyuan_v1_moe", "HunYuanMoEV1", families::HunyuanV1Moe},
    {"llama4_text", "Llama4", families::Llama4Text},
    {"mixtral", "Mixtral", families::Mixtral},
    {"nllb-moe", "NllbMoe", families::NllbMoe},
    {"olmoe", "Olmoe", families::Olmoe},
    {"phimoe", "Phimoe", families::Phimoe},
    {"qwen2_moe", "Qwen2Moe", families::Qwen2Moe},
    {"qwen3_moe", "Qwen3Moe", families::Qwen3Moe},
    {"switch_transformers", "SwitchTransformers", families::SwitchTransformers},
};

// Classes are named after the family and what they are for.
bool IsClassOf(const std::string& name, const Family& family) {
  const std::string stem(family.architecture);
  if (name.compare(0, stem.size(), stem) != 0) return false;
  const std::string role = name.substr(stem.size());
  return role.rfind("For", 0) == 0 || role == "Model";
}

absl::StatusOr<const Family*> FindFamily(const nlohmann::json& config,
                                         const ConfigReader& reader) {
  SWITCHYARD_ASSIGN_OR_RETURN(const std::string model_type,
                              reader.String("model_type", ""));
  for (const Family& family : kFamilies) {
    if (model_type == family.model_type) return &family;
  }
  // A model with code of its own, such as Kimi K2, may still be of a family.
  const auto architectures = config.find("architectures");
  if (architectures != config.end() && architectures->is_array()) {
    for (const nlohmann::json& name : *architectures) {
      for (const Family& family : kFamilies) {
        if (name.is_string() && IsClassOf(name.get<std::string>(), family)) {
          return &family;
        }
      }
    }
  }
  return reader.Refuse(
      "model_type",
      absl::StrCat("one of ", absl::StrJoin(ModelFamilies(), ", ")));
}

// The text model's own configuration, where it is one part of a larger model.
const nlohmann::json& TextConfig(const nlohmann::json& config) {
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object() ? *text : config;
}

std::vector<std::string> PrefixesOf(const nlohmann::json& config) {
  if (&TextConfig(config) != &config) {
    return {"language_model.model.", "model.language_model.", "model.", ""};
  }
  if (config.value("model_type", nlohmann::json()) == "switch_transformers") {
    return {""};
  }
  return {"model.", ""};
}

absl::Status RefuseQuantised(const ConfigReader& reader) {
  for (const char* field : {"quantization_config", "compression_config"}) {
    if (!reader.Has(field)) continue;
    return reader.Refuse(field,
                         "none: weights must be float32, bfloat16 or float16");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> ModelFamilies() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.push_back(family.model_type);
  return names;
}

absl::StatusOr<ModelDescription> DescribeModel(const nlohmann::json& config,
                                               absl::string_view name) {
  if (!config.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is not a JSON object"));
  }
  const nlohmann::json& text = TextConfig(config);
  const bool is_nested = &text != &config;
  const ConfigReader whole(config, absl::StrCat(name, ": "));
  const ConfigReader reader(
      text, absl::StrCat(name, is_nested ? ": text_config." : ": "));
  SWITCHYARD_RETURN_IF_ERROR(RefuseQuantised(whole));
  SWITCHYARD_RETURN_IF_ERROR(RefuseQuantised(reader));
  SWITCHYARD_ASSIGN_OR_RETURN(const Family* const family,
                              FindFamily(text, reader));
  ModelDescription description;
  description.family = family->model_type;
  description.prefixes = PrefixesOf(config);
  SWITCHYARD_ASSIGN_OR_RETURN(description.layers, family->read(reader));
  if (description.layers.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": describes no MoE layer, expected at least one"));
  }
  for (LayerSpec& layer : description.layers) {
    layer.origin->model_type = family->model_type;
    const absl::Status valid = Validate(layer);
    if (!valid.ok()) {
      return absl::Status(valid.code(), absl::StrCat(name, ": ", layer.name,
                                                     ": ", valid.message()));
    }
  }
  return description;
}

}  // namespace switchyard
