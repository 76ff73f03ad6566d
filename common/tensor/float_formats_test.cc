#include "common/tensor/float_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace switchyard {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(FloatFormatsTest, EveryBFloat16NarrowsToItself) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    ASSERT_EQ(ToBFloat16(FromBFloat16(stored)), stored);
  }
}

TEST(FloatFormatsTest, EveryFloat16NarrowsToItself) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    ASSERT_EQ(ToFloat16(FromFloat16(stored)), stored);
  }
}

TEST(FloatFormatsTest, Float16IsSignTimesMantissaTimesPowerOfTwo) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const int exponent = static_cast<int>(bits >> 10);
    const int mantissa = static_cast<int>(bits & 0x3ff);
    const float expected =
        exponent == 0
            ? std::ldexp(static_cast<float>(mantissa), -24)
            : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
    ASSERT_EQ(FromFloat16(static_cast<uint16_t>(bits)), expected) << bits;
    ASSERT_EQ(FromFloat16(static_cast<uint16_t>(bits | 0x8000)), -expected);
  }
  EXPECT_EQ(FromFloat16(0x7c00), kInfinity);
  EXPECT_EQ(FromFloat16(0xfc00), -kInfinity);
  EXPECT_TRUE(std::isnan(FromFloat16(0x7c01)));
}

// Between neighbours: below the middle down, above it up, on it to even.
TEST(FloatFormatsTest, Float16RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto lower = static_cast<uint16_t>(bits);
    const auto upper = static_cast<uint16_t>(bits + 1);
    // Exact: the two are within a factor of 2 of each other, or subnormal.
    const float middle = (FromFloat16(lower) + FromFloat16(upper)) / 2;
    ASSERT_EQ(ToFloat16(std::nextafter(middle, 0.0f)), lower) << bits;
    ASSERT_EQ(ToFloat16(middle), bits % 2 == 0 ? lower : upper) << bits;
    ASSERT_EQ(ToFloat16(std::nextafter(middle, kInfinity)), upper) << bits;
  }
}

TEST(FloatFormatsTest, Float16OverflowsToInfinity) {
  EXPECT_EQ(ToFloat16(65504.0f), 0x7bff);
  EXPECT_EQ(ToFloat16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(ToFloat16(65520.0f), 0x7c00);
  EXPECT_EQ(ToFloat16(-1e30f), 0xfc00);
  EXPECT_EQ(ToFloat16(kInfinity), 0x7c00);
}

TEST(FloatFormatsTest, Float16KeepsSignedZero) {
  EXPECT_EQ(ToFloat16(-0.0f), 0x8000);
  EXPECT_EQ(ToFloat16(-1e-30f), 0x8000);
}

TEST(FloatFormatsTest, NanOfAnyPayloadStaysNan) {
  for (const uint32_t bits :
       {0x7f800001u, 0x7fbfffffu, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    const auto nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(FromBFloat16(ToBFloat16(nan)))) << bits;
    EXPECT_TRUE(std::isnan(FromFloat16(ToFloat16(nan)))) << bits;
  }
}

TEST(FloatFormatsTest, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(ToBFloat16(1.0f), 0x3f80);
  EXPECT_EQ(ToBFloat16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(ToBFloat16(1.0f + 0x1p-8f + 0x1p-20f), 0x3f81);
  EXPECT_EQ(ToBFloat16(1.0f + 0x3p-8f), 0x3f82);
  EXPECT_EQ(ToBFloat16(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(FloatFormatsTest, BulkConversionIsThatOfTheElementsAtAnyAlignment) {
  const std::vector<float> values = {1.0f, -2.5f, 0.1f, 65504.0f, 3e-6f};
  for (const DType dtype :
       {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    std::string bytes(1 + values.size() * static_cast<size_t>(SizeOf(dtype)),
                      'x');
    Narrow(values, dtype, bytes.data() + 1);
    std::vector<float> back(values.size());
    Widen(bytes.data() + 1, dtype, absl::MakeSpan(back));
    for (size_t i = 0; i < values.size(); ++i) {
      const float expected = dtype == DType::kFloat32 ? values[i]
                             : dtype == DType::kBFloat16
                                 ? FromBFloat16(ToBFloat16(values[i]))
                                 : FromFloat16(ToFloat16(values[i]));
      EXPECT_EQ(back[i], expected) << NameOf(dtype) << " " << i;
    }
    EXPECT_EQ(bytes[0], 'x');
  }
}

}  // namespace
}  // namespace switchyard
