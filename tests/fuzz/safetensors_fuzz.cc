// Arbitrary bytes as a safetensors file, and as a model's config.json.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "common/checkpoint/model_description.h"
#include "common/checkpoint/tensor_layout.h"
#include "common/safetensors/json_file.h"
#include "common/safetensors/safetensors_file.h"

namespace switchyard {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// Every tensor of a file that was accepted lies inside it, and is found.
void ReadAsSafetensors(absl::string_view bytes) {
  const auto file = SafetensorsFile::Parse(bytes, "fuzzed");
  if (!file.ok()) return;
  size_t num_bytes = file->header_bytes().size();
  for (const SafetensorsTensor& tensor : file->tensors()) {
    Require(tensor.bytes.empty() ||
            (tensor.bytes.data() >= bytes.data() &&
             tensor.bytes.data() + tensor.bytes.size() <=
                 bytes.data() + bytes.size()));
    Require(file->Find(tensor.declaration.name) == &tensor);
    num_bytes += tensor.bytes.size();
  }
  Require(num_bytes == bytes.size());
}

// Every layer of a model that was accepted is one that can be created, and its
// gate has a place.
void ReadAsConfig(absl::string_view bytes) {
  const auto json = ParseJsonObject(bytes, "fuzzed");
  if (!json.ok()) return;
  const auto model = DescribeModel(*json, "fuzzed");
  if (!model.ok()) return;
  for (const LayerSpec& layer : model->layers) {
    Require(Validate(layer).ok());
    Require(SliceOf(layer, GateParameters(layer).front()).ok());
  }
}

}  // namespace
}  // namespace switchyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(
      reinterpret_cast<const char*>(data) + 1,  // NOLINT
      size - 1);
  if (data[0] % 2 == 0) {
    switchyard::ReadAsSafetensors(bytes);
  } else {
    switchyard::ReadAsConfig(bytes);
  }
  return 0;
}
