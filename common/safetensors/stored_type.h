#ifndef SWITCHYARD_COMMON_SAFETENSORS_STORED_TYPE_H_
#define SWITCHYARD_COMMON_SAFETENSORS_STORED_TYPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "common/tensor/dtype.h"

namespace switchyard {

// What a safetensors file may hold. Of these the project computes with
// floating-point types of 16 and 32 bits; tensors of others are carried along.
enum class StoredType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
};

// As the format spells it, e.g. "BF16"; and back, nullopt for other names.
absl::string_view NameOf(StoredType type);
std::optional<StoredType> StoredTypeOf(absl::string_view name);

// "F64, F32, ...", for messages.
std::string StoredTypeNames();

int64_t SizeOf(StoredType type);

// The type as one we compute with, nullopt where it is not; and back.
std::optional<DType> ComputedTypeOf(StoredType type);
StoredType StoredTypeOf(DType dtype);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_STORED_TYPE_H_
