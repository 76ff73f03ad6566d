#ifndef SWITCHYARD_COMMON_TENSOR_DTYPE_H_
#define SWITCHYARD_COMMON_TENSOR_DTYPE_H_

#include <cstdint>

namespace switchyard {

// How an element is stored. Arithmetic is in float32 whatever the dtype. int8
// is for weights alone, which have a scale for each output beside them.
enum class DType { kFloat32, kBFloat16, kFloat16, kInt8 };

constexpr int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return 4;
    case DType::kBFloat16:
    case DType::kFloat16:
      return 2;
    case DType::kInt8:
      return 1;
  }
  return 0;
}

constexpr const char* NameOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kFloat16:
      return "float16";
    case DType::kInt8:
      return "int8";
  }
  return "unknown";
}

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_TENSOR_DTYPE_H_
