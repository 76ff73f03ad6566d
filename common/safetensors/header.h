#ifndef SWITCHYARD_COMMON_SAFETENSORS_HEADER_H_
#define SWITCHYARD_COMMON_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/safetensors/stored_type.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// A tensor as a header declares it.
struct TensorDeclaration {
  std::string name;
  StoredType type = StoredType::kF32;
  Shape shape;
};

// Pairs of `__metadata__`, in the order of the file.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

// The header of a safetensors file
// (https://github.com/huggingface/safetensors#format): eight bytes of its
// length N, little-endian; N bytes of JSON, from each tensor's name to its
// dtype, shape and data_offsets; then the tensors' bytes, without gaps.
struct SafetensorsHeader {
  struct Entry {
    TensorDeclaration tensor;
    // Where the tensor lies, counted from the end of the header.
    int64_t begin_bytes = 0;
    int64_t end_bytes = 0;
  };
  // By position in the file. They cover its bytes exactly.
  std::vector<Entry> entries;
  SafetensorsMetadata metadata;
  // Of the length and the JSON together: where the tensors begin.
  int64_t size_bytes = 0;
};

// The most that the format allows.
inline constexpr int64_t kMaxHeaderBytes = 100'000'000;

// Reads the header at the beginning of a whole file. INVALID_ARGUMENT, naming
// the tensor, for whatever the format forbids: a header longer than the file or
// than kMaxHeaderBytes, no JSON object, an unknown dtype, a shape that is
// negative or overflows, a tensor whose offsets are out of the file or do not
// fit its shape, overlaps, gaps, bytes after the last tensor, a name twice.
absl::StatusOr<SafetensorsHeader> ParseHeader(absl::string_view file);

// The bytes from a file's beginning up to the first tensor: as the reference
// implementation writes them, padded with spaces to a multiple of eight. The
// tensors follow in the order given. INVALID_ARGUMENT for a name twice, or a
// shape that is negative or overflows.
absl::StatusOr<std::string> EncodeHeader(
    const std::vector<TensorDeclaration>& tensors,
    const SafetensorsMetadata& metadata);

// Bytes of a tensor. INVALID_ARGUMENT, naming it, for a shape that is negative
// or overflows.
absl::StatusOr<int64_t> SizeBytesOf(const TensorDeclaration& tensor);

// A name from a file as messages show it: cut where it is very long.
std::string Shortened(absl::string_view name);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_HEADER_H_
