// bfloat16 and IEEE 754 binary16 to and from float32. Widening is exact;
// narrowing rounds to nearest, ties to even, overflows to infinity and keeps
// subnormals. A NaN stays a NaN, with its sign and the payload bits that fit.
// So every 16-bit pattern narrows back to itself. All functions are
// thread-safe.
//
// int8 is the integers from -127 to 127: what is beyond becomes the nearest of
// them, and NaN one of the two.
#ifndef SWITCHYARD_COMMON_TENSOR_FLOAT_FORMATS_H_
#define SWITCHYARD_COMMON_TENSOR_FLOAT_FORMATS_H_

#include <bit>
#include <cstdint>

#include "absl/types/span.h"
#include "common/tensor/dtype.h"

namespace switchyard {

constexpr uint16_t ToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) {
    // Rounding could carry a NaN's payload away, cutting could leave none: both
    // would make an infinity of it.
    const uint32_t payload = (bits >> 16) & 0x7f;
    return static_cast<uint16_t>((bits >> 16) | (payload == 0 ? 0x40 : 0));
  }
  const uint32_t tie_to_even = (bits >> 16) & 1;
  return static_cast<uint16_t>((bits + 0x7fff + tie_to_even) >> 16);
}

constexpr float FromBFloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

uint16_t ToFloat16(float value);
float FromFloat16(uint16_t bits);

// The little-endian elements at `bytes`, of which there must be
// SizeOf(dtype) * values.size(); they need not be aligned.
void Widen(const char* bytes, DType dtype, absl::Span<float> values);

// The inverse: writes SizeOf(dtype) * values.size() bytes.
void Narrow(absl::Span<const float> values, DType dtype, char* bytes);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_TENSOR_FLOAT_FORMATS_H_
