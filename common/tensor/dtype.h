#ifndef SWITCHYARD_COMMON_TENSOR_DTYPE_H_
#define SWITCHYARD_COMMON_TENSOR_DTYPE_H_

#include <cstdint>

namespace switchyard {

// How an element is stored. Arithmetic is in float32 whatever the dtype.
enum class DType { kFloat32, kBFloat16, kFloat16 };

constexpr int64_t SizeOf(DType dtype) {
  return dtype == DType::kFloat32 ? 4 : 2;
}

constexpr const char* NameOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kFloat16:
      return "float16";
  }
  return "unknown";
}

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_TENSOR_DTYPE_H_
