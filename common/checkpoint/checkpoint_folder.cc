#include "common/checkpoint/checkpoint_folder.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/tensor_layout.h"
#include "common/safetensors/json_file.h"
#include "common/safetensors/mapped_file.h"
#include "common/tensor/float_formats.h"

namespace switchyard {
namespace {

// Of each file's weights, at the beginning and at the end.
constexpr size_t kFingerprintSampleBytes = 4096;

// http://www.isthe.com/chongo/tech/comp/fnv/.
class Fnv1a {
 public:
  void Add(absl::string_view bytes) {
    for (const char byte : bytes) {
      hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    }
  }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

absl::string_view BaseName(absl::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

uint64_t FingerprintOf(absl::string_view config,
                       const SafetensorsFolder& tensors) {
  Fnv1a hash;
  hash.Add(config);
  for (const auto& file : tensors.files()) {
    hash.Add(absl::StrCat("\n", BaseName(file->name()), " ",
                          file->bytes().size(), "\n"));
    hash.Add(file->header_bytes());
    // Checkpoints of one architecture differ in their weights alone.
    const absl::string_view weights =
        file->bytes().substr(file->header_bytes().size());
    hash.Add(weights.substr(0, kFingerprintSampleBytes));
    hash.Add(weights.substr(weights.size() -
                            std::min(weights.size(), kFingerprintSampleBytes)));
  }
  return hash.hash() == 0 ? 1 : hash.hash();
}

// A tensor that was found to be what the layer needs.
struct CheckedTensor {
  const SafetensorsTensor* tensor;
  DType dtype;
};

absl::StatusOr<CheckedTensor> FindTensor(const SafetensorsFolder& folder,
                                         const TensorSlice& slice) {
  if (folder.Find(slice.tensor + "_blocks").tensor != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder.directory(), ": tensor ", slice.tensor,
        ": got blocks of a quantised one, expected F32, BF16 or F16"));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const SafetensorsFolder::Location found,
                              folder.Get(slice.tensor));
  const TensorDeclaration& declared = found.tensor->declaration;
  const std::string where =
      absl::StrCat(found.file->name(), ": tensor ", declared.name);
  if (declared.shape != slice.tensor_shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": got shape ", ShapeToString(declared.shape),
                     ", expected ", ShapeToString(slice.tensor_shape)));
  }
  const std::optional<DType> dtype = ComputedTypeOf(declared.type);
  if (!dtype.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": got dtype ", NameOf(declared.type),
                     ", expected F32, BF16 or F16"));
  }
  return CheckedTensor{found.tensor, *dtype};
}

// The parameter's name with `*` for the expert id.
std::string PatternOf(const LayerSpec& spec, const ParameterSpec& parameter) {
  if (parameter.expert_id < 0 || parameter.expert_id == spec.branch_id()) {
    return parameter.name;
  }
  const size_t second_dot = parameter.name.find('.', sizeof("experts.") - 1);
  return absl::StrCat("experts.*", parameter.name.substr(second_dot));
}

// Looks at every tensor of the layer and fills in parameter_dtypes.
absl::Status TakeDTypes(const SafetensorsFolder& folder, LayerSpec& spec) {
  struct First {
    DType dtype;
    std::string tensor;
  };
  std::map<std::string, First> dtypes;
  for (const ParameterSpec& parameter : AllParameters(spec)) {
    SWITCHYARD_ASSIGN_OR_RETURN(const TensorSlice slice,
                                SliceOf(spec, parameter));
    SWITCHYARD_ASSIGN_OR_RETURN(const CheckedTensor checked,
                                FindTensor(folder, slice));
    const auto [first, is_new] = dtypes.emplace(
        PatternOf(spec, parameter), First{checked.dtype, slice.tensor});
    if (!is_new && first->second.dtype != checked.dtype) {
      return absl::InvalidArgumentError(absl::StrCat(
          folder.directory(), ": tensor ", slice.tensor, ": got dtype ",
          NameOf(checked.dtype), ", expected ", NameOf(first->second.dtype),
          " as ", first->second.tensor));
    }
  }
  spec.parameter_dtypes.clear();
  for (const auto& [pattern, first] : dtypes) {
    if (first.dtype == DType::kFloat32) continue;
    spec.parameter_dtypes.push_back(
        {.parameter = pattern, .dtype = first.dtype});
  }
  return absl::OkStatus();
}

// Puts `prefix` before the layer's path.
LayerSpec WithPrefix(LayerSpec layer, absl::string_view prefix) {
  layer.name = absl::StrCat(prefix, layer.name);
  layer.origin->module = layer.name;
  return layer;
}

}  // namespace

CheckpointFolder::CheckpointFolder(SafetensorsFolder tensors,
                                   ModelDescription description,
                                   uint64_t fingerprint)
    : tensors_(std::move(tensors)),
      description_(std::move(description)),
      fingerprint_(fingerprint) {}

absl::StatusOr<CheckpointFolder> CheckpointFolder::Open(
    absl::string_view directory) {
  const std::string config_path = absl::StrCat(directory, "/config.json");
  SWITCHYARD_ASSIGN_OR_RETURN(const MappedFile config,
                              MappedFile::Open(config_path));
  SWITCHYARD_ASSIGN_OR_RETURN(const nlohmann::json json,
                              ParseJsonObject(config.bytes(), config_path));
  SWITCHYARD_ASSIGN_OR_RETURN(ModelDescription description,
                              DescribeModel(json, config_path));
  SWITCHYARD_ASSIGN_OR_RETURN(SafetensorsFolder tensors,
                              SafetensorsFolder::Open(directory));
  const uint64_t fingerprint = FingerprintOf(config.bytes(), tensors);
  return CheckpointFolder(std::move(tensors), std::move(description),
                          fingerprint);
}

absl::StatusOr<std::vector<LayerSpec>> CheckpointFolder::Layers() const {
  // Where none fits, errors name the likeliest.
  absl::string_view prefix = description_.prefixes.front();
  // The class that saved the model decides; its first gate tells.
  for (const std::string& candidate : description_.prefixes) {
    const LayerSpec layer = WithPrefix(description_.layers.front(), candidate);
    SWITCHYARD_ASSIGN_OR_RETURN(const TensorSlice gate,
                                SliceOf(layer, GateParameters(layer).front()));
    if (tensors_.Find(gate.tensor).tensor == nullptr) continue;
    prefix = candidate;
    break;
  }
  std::vector<LayerSpec> layers;
  for (const LayerSpec& described : description_.layers) {
    LayerSpec layer = WithPrefix(described, prefix);
    SWITCHYARD_RETURN_IF_ERROR(TakeDTypes(tensors_, layer));
    SWITCHYARD_RETURN_IF_ERROR(Validate(layer));
    layers.push_back(std::move(layer));
  }
  return layers;
}

absl::Status CheckpointFolder::ReadParameter(const LayerSpec& spec,
                                             const ParameterSpec& parameter,
                                             int64_t first,
                                             absl::Span<float> values) const {
  SWITCHYARD_ASSIGN_OR_RETURN(const TensorSlice slice,
                              SliceOf(spec, parameter));
  SWITCHYARD_ASSIGN_OR_RETURN(const CheckedTensor checked,
                              FindTensor(tensors_, slice));
  if (parameter.dtype != DType::kFloat32 && parameter.dtype != checked.dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory(), ": tensor ", slice.tensor, ": got dtype ",
                     NameOf(checked.dtype), ", expected ",
                     NameOf(parameter.dtype), ", the layer's"));
  }
  const int64_t num_elements = parameter.num_elements();
  const int64_t num_values = static_cast<int64_t>(values.size());
  if (first < 0 || first > num_elements || num_values > num_elements - first) {
    return absl::OutOfRangeError(
        absl::StrCat(parameter.name, ": got elements from ", first, ", ",
                     num_values, " of them, expected some of ", num_elements));
  }
  ReadSlice(slice, checked.dtype, checked.tensor->bytes.data(), first, values);
  return absl::OkStatus();
}

}  // namespace switchyard
