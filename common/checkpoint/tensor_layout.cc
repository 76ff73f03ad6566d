#include "common/checkpoint/tensor_layout.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/tensor/float_formats.h"

namespace switchyard {
namespace {

// How a family lays its experts out.
enum class ExpertLayout {
  // A tensor for each parameter of each expert.
  kSeparate,
  // Gate and up in one tensor of all experts [E, H, 2I], interleaved by column
  // (GPT-OSS) or in halves (Llama-4); down [E, I, H].
  kInterleavedColumns,
  kColumnHalves,
  // [E, 2I, H], the gate's rows first; down [E, H, I] (Granite).
  kRowHalves,
};

// Names in a family's checkpoints, behind the module's path. `$` stands for the
// expert id. nullptr: the family has none.
struct FamilyNames {
  const char* model_type;
  const char* gate_weight;
  const char* gate_bias;
  const char* correction_bias;
  ExpertLayout layout;
  // Of an expert: "experts.$.", then the names of its linear maps. For fused
  // layouts the tensors of gate and up, and of down; biases end in "_bias".
  const char* expert_prefix;
  const char* gate_or_first;
  const char* up;
  const char* down_or_second;
  // Of the dense branch, whose maps are named as gate_proj, up_proj, down_proj.
  const char* dense_prefix;
  bool has_expert_biases = false;
};

constexpr const char* kGate = "gate.weight";
constexpr const char* kCorrection = "gate.e_score_correction_bias";
constexpr const char* kExperts = "experts.$.";
constexpr FamilyNames kFamilies[] = {
    {"deepseek_v2", kGate, nullptr, nullptr, ExpertLayout::kSeparate, kExperts,
     "gate_proj", "up_proj", "down_proj", "shared_experts."},
    {"deepseek_v3", kGate, nullptr, kCorrection, ExpertLayout::kSeparate,
     kExperts, "gate_proj", "up_proj", "down_proj", "shared_experts."},
    {"ernie4_5_moe", kGate, nullptr, "moe_statics.e_score_correction_bias",
     ExpertLayout::kSeparate, kExperts, "gate_proj", "up_proj", "down_proj",
     "shared_experts."},
    {"glm4_moe", kGate, nullptr, kCorrection, ExpertLayout::kSeparate, kExperts,
     "gate_proj", "up_proj", "down_proj", "shared_experts."},
    {"gpt_oss", "router.weight", "router.bias", nullptr,
     ExpertLayout::kInterleavedColumns, "experts.", "gate_up_proj",
     "gate_up_proj", "down_proj", nullptr, true},
    {"granitemoe", "router.layer.weight", nullptr, nullptr,
     ExpertLayout::kRowHalves, "", "input_linear.weight", "input_linear.weight",
     "output_linear.weight", nullptr},
    {"hunyuan_v1_moe", "gate.wg.weight", nullptr, nullptr,
     ExpertLayout::kSeparate, kExperts, "gate_proj", "up_proj", "down_proj",
     "shared_mlp."},
    {"llama4_text", "router.weight", nullptr, nullptr,
     ExpertLayout::kColumnHalves, "experts.", "gate_up_proj", "gate_up_proj",
     "down_proj", "shared_expert."},
    {"mixtral", kGate, nullptr, nullptr, ExpertLayout::kSeparate, kExperts,
     "w1", "w3", "w2", nullptr},
    {"nllb-moe", "router.classifier.weight", "router.classifier.bias", nullptr,
     ExpertLayout::kSeparate, "experts.expert_$.", "fc1", nullptr, "fc2",
     nullptr, true},
    {"olmoe", kGate, nullptr, nullptr, ExpertLayout::kSeparate, kExperts,
     "gate_proj", "up_proj", "down_proj", nullptr},
    {"phimoe", kGate, nullptr, nullptr, ExpertLayout::kSeparate, kExperts, "w1",
     "w3", "w2", nullptr},
    {"qwen2_moe", kGate, nullptr, nullptr, ExpertLayout::kSeparate, kExperts,
     "gate_proj", "up_proj", "down_proj", "shared_expert."},
    {"qwen3_moe", kGate, nullptr, nullptr, ExpertLayout::kSeparate, kExperts,
     "gate_proj", "up_proj", "down_proj", nullptr},
    {"switch_transformers", "router.classifier.weight",
     "router.classifier.bias", nullptr, ExpertLayout::kSeparate,
     "experts.expert_$.", "wi", nullptr, "wo", nullptr},
};

const FamilyNames* FindFamily(absl::string_view model_type) {
  for (const FamilyNames& family : kFamilies) {
    if (model_type == family.model_type) return &family;
  }
  return nullptr;
}

// The parameter as a tensor of its own.
TensorSlice WholeTensor(std::string name, const ParameterSpec& parameter) {
  TensorSlice slice;
  slice.tensor = std::move(name);
  slice.tensor_shape = parameter.shape;
  slice.num_cols = parameter.shape.back();
  slice.row_stride = slice.num_cols;
  return slice;
}

// What comes after an expert's prefix: "gate_proj.weight".
absl::string_view Suffix(const ParameterSpec& parameter) {
  absl::string_view name = parameter.name;
  if (absl::ConsumePrefix(&name, "dense.")) return name;
  absl::ConsumePrefix(&name, "experts.");
  return name.substr(name.find('.') + 1);
}

enum class Map { kGateOrFirst, kUp, kDownOrSecond };

struct ExpertPart {
  Map map;
  bool is_bias;
};

ExpertPart PartOf(absl::string_view suffix) {
  const bool is_bias = absl::EndsWith(suffix, "bias");
  if (absl::StartsWith(suffix, "up_proj")) return {Map::kUp, is_bias};
  if (absl::StartsWith(suffix, "down_proj") ||
      absl::StartsWith(suffix, "fc2")) {
    return {Map::kDownOrSecond, is_bias};
  }
  return {Map::kGateOrFirst, is_bias};
}

std::string MapName(const FamilyNames& family, Map map) {
  switch (map) {
    case Map::kGateOrFirst:
      return family.gate_or_first;
    case Map::kUp:
      return family.up;
    case Map::kDownOrSecond:
      return family.down_or_second;
  }
  return "";
}

TensorSlice SeparateExpert(const FamilyNames& family, const std::string& module,
                           const ParameterSpec& parameter) {
  const ExpertPart part = PartOf(Suffix(parameter));
  std::string prefix = family.expert_prefix;
  prefix.replace(prefix.find('$'), 1, absl::StrCat(parameter.expert_id));
  return WholeTensor(
      absl::StrCat(module, ".", prefix, MapName(family, part.map),
                   part.is_bias ? ".bias" : ".weight"),
      parameter);
}

// The fused tensors, see ExpertLayout. I: ffn_size, H: hidden_size.
TensorSlice FusedExpert(const FamilyNames& family, const std::string& module,
                        const LayerSpec& spec, const ParameterSpec& parameter) {
  const ExpertPart part = PartOf(Suffix(parameter));
  const int64_t num_experts = spec.num_experts;
  const int64_t hidden = spec.hidden_size;
  const int64_t ffn = std::get<GatedExpertSpec>(spec.expert).ffn_size;
  const bool is_down = part.map == Map::kDownOrSecond;
  const bool is_up = part.map == Map::kUp;
  const bool by_rows = family.layout == ExpertLayout::kRowHalves;
  const bool interleaved = family.layout == ExpertLayout::kInterleavedColumns;
  const int64_t num_outputs = is_down ? hidden : 2 * ffn;
  const int64_t num_inputs = is_down ? ffn : hidden;

  TensorSlice slice;
  slice.tensor =
      absl::StrCat(module, ".", family.expert_prefix, MapName(family, part.map),
                   part.is_bias ? "_bias" : "");
  // Where the map's first output is among the tensor's, and how far the next.
  const int64_t first_output = !is_up ? 0 : interleaved ? 1 : ffn;
  const int64_t output_step = interleaved && !is_down ? 2 : 1;
  if (part.is_bias) {
    slice.tensor_shape = {num_experts, num_outputs};
    slice.num_cols = parameter.shape.back();
    slice.offset = parameter.expert_id * num_outputs + first_output;
    slice.col_stride = output_step;
    slice.row_stride = slice.num_cols * output_step;
    return slice;
  }
  const int64_t output_stride = by_rows ? num_inputs : 1;
  slice.tensor_shape = by_rows ? Shape{num_experts, num_outputs, num_inputs}
                               : Shape{num_experts, num_inputs, num_outputs};
  slice.num_cols = num_inputs;
  slice.offset = parameter.expert_id * num_outputs * num_inputs +
                 first_output * output_stride;
  slice.row_stride = output_step * output_stride;
  slice.col_stride = by_rows ? 1 : num_outputs;
  return slice;
}

// The name, behind the module's path, of a parameter of the gateway or the
// dense branch; empty: the family has none.
std::string CommonName(const FamilyNames& family, const LayerSpec& spec,
                       const ParameterSpec& parameter) {
  const auto or_empty = [](const char* name) {
    return std::string(name == nullptr ? "" : name);
  };
  if (parameter.expert_id == spec.branch_id()) {
    if (family.dense_prefix == nullptr) return "";
    return absl::StrCat(family.dense_prefix, Suffix(parameter));
  }
  if (parameter.name == "gate.weight") return family.gate_weight;
  if (parameter.name == "gate.bias") return or_empty(family.gate_bias);
  if (parameter.name == "gate.score_correction_bias") {
    return or_empty(family.correction_bias);
  }
  const bool is_qwen2 = absl::string_view(family.model_type) == "qwen2_moe";
  return parameter.name == "dense_gate.weight" && is_qwen2
             ? "shared_expert_gate.weight"
             : "";
}

bool IsRoutedExpert(const LayerSpec& spec, const ParameterSpec& parameter) {
  return parameter.expert_id >= 0 && parameter.expert_id < spec.num_experts;
}

}  // namespace

absl::StatusOr<TensorSlice> SliceOf(const LayerSpec& spec,
                                    const ParameterSpec& parameter) {
  if (!spec.origin.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "layer '", spec.name, "' has no origin, expected an imported one"));
  }
  const FamilyNames* const family = FindFamily(spec.origin->model_type);
  if (family == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("spec.origin.model_type: got '", spec.origin->model_type,
                     "', expected a family that can be imported"));
  }
  const std::string& module = spec.origin->module;
  const bool is_gated = std::holds_alternative<GatedExpertSpec>(spec.expert);
  if (IsRoutedExpert(spec, parameter)) {
    const bool is_mlp = std::holds_alternative<MlpExpertSpec>(spec.expert);
    const bool is_bias = absl::EndsWith(parameter.name, "bias");
    if ((!is_mlp && !is_gated) || is_gated != (family->up != nullptr) ||
        (is_bias && !family->has_expert_biases)) {
      return absl::InvalidArgumentError(
          absl::StrCat("spec.expert: got another kind than the experts of ",
                       family->model_type));
    }
    return family->layout == ExpertLayout::kSeparate
               ? SeparateExpert(*family, module, parameter)
               : FusedExpert(*family, module, spec, parameter);
  }
  const std::string name = CommonName(*family, spec, parameter);
  if (name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoints of ", family->model_type,
                     " have no tensor for ", parameter.name));
  }
  TensorSlice slice = WholeTensor(absl::StrCat(module, ".", name), parameter);
  if (absl::StartsWith(name, "moe_statics.")) {
    slice.tensor_shape = {1, spec.num_experts};
  }
  return slice;
}

absl::StatusOr<std::vector<TensorPlan>> TensorsOf(const LayerSpec& spec) {
  std::vector<TensorPlan> plans;
  std::map<std::string, size_t> plan_of_tensor;
  for (const ParameterSpec& parameter : AllParameters(spec)) {
    SWITCHYARD_ASSIGN_OR_RETURN(TensorSlice slice, SliceOf(spec, parameter));
    const auto [found, is_new] =
        plan_of_tensor.emplace(slice.tensor, plans.size());
    if (is_new) {
      plans.push_back({.name = slice.tensor,
                       .dtype = parameter.dtype,
                       .shape = slice.tensor_shape});
    }
    if (plans[found->second].dtype != parameter.dtype) {
      return absl::InvalidArgumentError(absl::StrCat(
          "spec.parameter_dtypes: got ", NameOf(parameter.dtype), " for ",
          parameter.name, ", expected ", NameOf(plans[found->second].dtype),
          " as what shares tensor ", slice.tensor, " with it"));
    }
    plans[found->second].parts.push_back({parameter, std::move(slice)});
  }
  return plans;
}

void ReadSlice(const TensorSlice& slice, DType dtype, const char* tensor_bytes,
               int64_t first, absl::Span<float> values) {
  const int64_t element_bytes = SizeOf(dtype);
  if (slice.contiguous()) {
    Widen(tensor_bytes + slice.ElementOf(first) * element_bytes, dtype, values);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t element = slice.ElementOf(first + static_cast<int64_t>(i));
    Widen(tensor_bytes + element * element_bytes, dtype, values.subspan(i, 1));
  }
}

void WriteSlice(const TensorSlice& slice, DType dtype, int64_t first,
                absl::Span<const float> values, char* tensor_bytes) {
  const int64_t element_bytes = SizeOf(dtype);
  if (slice.contiguous()) {
    Narrow(values, dtype,
           tensor_bytes + slice.ElementOf(first) * element_bytes);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t element = slice.ElementOf(first + static_cast<int64_t>(i));
    Narrow(values.subspan(i, 1), dtype, tensor_bytes + element * element_bytes);
  }
}

}  // namespace switchyard
