#include "common/safetensors/stored_type.h"

#include "absl/strings/str_join.h"

namespace switchyard {
namespace {

struct TypeRow {
  StoredType type;
  const char* name;
  int64_t size_bytes;
};

// In the order of the enum.
constexpr TypeRow kTypes[] = {
    {StoredType::kF64, "F64", 8},        {StoredType::kF32, "F32", 4},
    {StoredType::kF16, "F16", 2},        {StoredType::kBF16, "BF16", 2},
    {StoredType::kF8E4M3, "F8_E4M3", 1}, {StoredType::kF8E5M2, "F8_E5M2", 1},
    {StoredType::kF8E8M0, "F8_E8M0", 1}, {StoredType::kI64, "I64", 8},
    {StoredType::kI32, "I32", 4},        {StoredType::kI16, "I16", 2},
    {StoredType::kI8, "I8", 1},          {StoredType::kU64, "U64", 8},
    {StoredType::kU32, "U32", 4},        {StoredType::kU16, "U16", 2},
    {StoredType::kU8, "U8", 1},          {StoredType::kBool, "BOOL", 1},
};

constexpr bool IsInOrder() {
  int idx = 0;
  for (const TypeRow& row : kTypes) {
    if (static_cast<int>(row.type) != idx++) return false;
  }
  return true;
}
static_assert(IsInOrder(), "rows are found by the enum's value");

const TypeRow& RowOf(StoredType type) { return kTypes[static_cast<int>(type)]; }

}  // namespace

absl::string_view NameOf(StoredType type) { return RowOf(type).name; }

std::optional<StoredType> StoredTypeOf(absl::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (name == row.name) return row.type;
  }
  return std::nullopt;
}

std::string StoredTypeNames() {
  return absl::StrJoin(kTypes, ", ", [](std::string* out, const TypeRow& row) {
    out->append(row.name);
  });
}

int64_t SizeOf(StoredType type) { return RowOf(type).size_bytes; }

std::optional<DType> ComputedTypeOf(StoredType type) {
  switch (type) {
    case StoredType::kF32:
      return DType::kFloat32;
    case StoredType::kBF16:
      return DType::kBFloat16;
    case StoredType::kF16:
      return DType::kFloat16;
    default:
      return std::nullopt;
  }
}

StoredType StoredTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kBFloat16:
      return StoredType::kBF16;
    case DType::kFloat16:
      return StoredType::kF16;
    case DType::kInt8:
      return StoredType::kI8;
    case DType::kFloat32:
      break;
  }
  return StoredType::kF32;
}

}  // namespace switchyard
