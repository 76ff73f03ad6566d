#include "common/tensor/float_formats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace switchyard {
namespace {

static_assert(std::endian::native == std::endian::little,
              "stored elements are little-endian and are copied as they are");

// 2^-24, the smallest positive binary16, is 1 in its integer representation.
constexpr float kSubnormalUnit = 0x1p-24f;
// Half an ulp above the largest binary16, 65504: from here on infinity.
constexpr uint32_t kOverflowBits = 0x477ff000;
// 2^-14, the smallest normal binary16.
constexpr uint32_t kMinNormalBits = 0x38800000;

template <float (*kFrom)(uint16_t)>
void Widen16(const char* bytes, absl::Span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, sizeof(bits));
    values[i] = kFrom(bits);
  }
}

template <uint16_t (*kTo)(float)>
void Narrow16(absl::Span<const float> values, char* bytes) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = kTo(values[i]);
    std::memcpy(bytes + 2 * i, &bits, sizeof(bits));
  }
}

char ToInt8(float value) {
  // In this order a NaN becomes a number as well.
  const float limited = std::max(-127.0f, std::min(value, 127.0f));
  return static_cast<char>(static_cast<signed char>(std::nearbyint(limited)));
}

}  // namespace

uint16_t ToFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    // Where no bit of the payload fits, an infinity would be left.
    const uint32_t payload = (magnitude >> 13) & 0x3ff;
    return static_cast<uint16_t>(sign | 0x7c00 |
                                 (payload == 0 ? 0x200 : payload));
  }
  if (magnitude >= kOverflowBits) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < kMinNormalBits) {
    // Adding 0.5 leaves the subnormal's integer in the low bits, rounded by the
    // addition itself: an ulp of 0.5 is 2^-24.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    const uint32_t rounded =
        std::bit_cast<uint32_t>(sum) - std::bit_cast<uint32_t>(0.5f);
    return static_cast<uint16_t>(sign | rounded);
  }
  const uint32_t tie_to_even = (magnitude >> 13) & 1;
  // The exponent's bias goes from 127 to 15.
  const uint32_t rebiased = magnitude - (112u << 23) + 0xfff + tie_to_even;
  return static_cast<uint16_t>(sign | (rebiased >> 13));
}

float FromFloat16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * kSubnormalUnit;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t wide_exponent = exponent == 0x1f ? 0xff : exponent + 112;
  return std::bit_cast<float>(sign | (wide_exponent << 23) | (mantissa << 13));
}

void Widen(const char* bytes, DType dtype, absl::Span<float> values) {
  if (values.empty()) return;
  switch (dtype) {
    case DType::kFloat32:
      std::memcpy(values.data(), bytes, values.size() * sizeof(float));
      return;
    case DType::kBFloat16:
      Widen16<FromBFloat16>(bytes, values);
      return;
    case DType::kFloat16:
      Widen16<FromFloat16>(bytes, values);
      return;
    case DType::kInt8:
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<signed char>(bytes[i]);
      }
      return;
  }
}

void Narrow(absl::Span<const float> values, DType dtype, char* bytes) {
  if (values.empty()) return;
  switch (dtype) {
    case DType::kFloat32:
      std::memcpy(bytes, values.data(), values.size() * sizeof(float));
      return;
    case DType::kBFloat16:
      Narrow16<ToBFloat16>(values, bytes);
      return;
    case DType::kFloat16:
      Narrow16<ToFloat16>(values, bytes);
      return;
    case DType::kInt8:
      for (size_t i = 0; i < values.size(); ++i) bytes[i] = ToInt8(values[i]);
      return;
  }
}

}  // namespace switchyard
