#include "services/wire/tensor_codec.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "common/tensor/float_formats.h"

namespace switchyard::wire {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;

v1::Tensor Message(v1::DType dtype, const std::vector<int64_t>& shape,
                   size_t num_bytes) {
  v1::Tensor message;
  message.set_dtype(dtype);
  message.mutable_shape()->Assign(shape.begin(), shape.end());
  message.set_data(std::string(num_bytes, '\0'));
  return message;
}

TEST(TensorCodecTest, Float32ComesBackBitByBit) {
  const std::vector<float> values = {0.0f,
                                     -0.0f,
                                     1.5f,
                                     std::numeric_limits<float>::denorm_min(),
                                     std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::quiet_NaN()};
  const Tensor tensor = Tensor::FromSpan({1, 2, 3}, values);
  const v1::Tensor message = EncodeTensor(tensor, v1::DTYPE_FLOAT32);
  EXPECT_EQ(message.data().size(), 24u);
  ASSERT_OK_AND_ASSIGN(const Tensor decoded, DecodeTensor(message, "x"));
  EXPECT_THAT(decoded.shape(), ElementsAre(1, 2, 3));
  EXPECT_EQ(std::memcmp(decoded.data(), values.data(), 24), 0);
}

TEST(TensorCodecTest, BFloat16HalvesTheBytesAndKeepsTheShape) {
  const Tensor tensor = Tensor::FromSpan({2, 2}, {1.0f, -2.0f, 0.5f, 100.0f});
  const v1::Tensor message = EncodeTensor(tensor, v1::DTYPE_BFLOAT16);
  EXPECT_EQ(message.data().size(), 8u);
  ASSERT_OK_AND_ASSIGN(const Tensor decoded, DecodeTensor(message, "x"));
  EXPECT_THAT(decoded.shape(), ElementsAre(2, 2));
  EXPECT_THAT(decoded.values(), ElementsAre(1.0f, -2.0f, 0.5f, 100.0f));
}

TEST(TensorCodecTest, BFloat16RoundsToNearestTiesToEven) {
  const auto round = [](uint32_t bits) {
    return ToBFloat16(std::bit_cast<float>(bits));
  };
  EXPECT_EQ(round(0x3f80'7fff), 0x3f80);  // Below the middle.
  EXPECT_EQ(round(0x3f80'8000), 0x3f80);  // A tie: down to even.
  EXPECT_EQ(round(0x3f80'8001), 0x3f81);  // Above the middle.
  EXPECT_EQ(round(0x3f81'8000), 0x3f82);  // A tie: up to even.
  EXPECT_EQ(round(0x7f7f'ffff), 0x7f80);  // The largest float: to infinity.
  EXPECT_EQ(round(0xff80'0000), 0xff80);  // Minus infinity.
  // NaNs whose payload is in the lower half, or would carry over the sign.
  for (const uint32_t nan : {0x7f80'0001u, 0x7fff'ffffu, 0xffff'ffffu}) {
    EXPECT_TRUE(std::isnan(FromBFloat16(round(nan)))) << nan;
  }
}

TEST(TensorCodecTest, EveryBFloat16ComesBackFromFloat32) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = FromBFloat16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(ToBFloat16(value), bits);
  }
}

TEST(TensorCodecTest, FloatValuesStandInForData) {
  v1::Tensor message = Message(v1::DTYPE_FLOAT32, {1, 2}, 0);
  message.add_float_values(3.0f);
  message.add_float_values(4.0f);
  ASSERT_OK_AND_ASSIGN(const Tensor decoded, DecodeTensor(message, "x"));
  EXPECT_THAT(decoded.values(), ElementsAre(3.0f, 4.0f));
}

TEST(TensorCodecTest, TakesScalarsAndTensorsWithoutElements) {
  ASSERT_OK_AND_ASSIGN(const Tensor scalar,
                       DecodeTensor(Message(v1::DTYPE_FLOAT32, {}, 4), "x"));
  EXPECT_EQ(scalar.num_elements(), 1);
  ASSERT_OK_AND_ASSIGN(
      const Tensor empty,
      DecodeTensor(Message(v1::DTYPE_BFLOAT16, {0, 84}, 0), "x"));
  EXPECT_THAT(empty.shape(), ElementsAre(0, 84));
}

struct Refusal {
  const char* name;
  std::function<void(v1::Tensor&)> change;
  const char* message;
};

class TensorRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(TensorRefusalTest, NamesWhatCameAndWhatWasExpected) {
  v1::Tensor message = Message(v1::DTYPE_FLOAT32, {1, 4}, 16);
  ASSERT_OK(DecodeTensor(message, "x"));
  GetParam().change(message);
  EXPECT_THAT(DecodeTensor(message, "x"),
              StatusIs(absl::StatusCode::kInvalidArgument, GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, TensorRefusalTest,
    ::testing::Values(
        Refusal{"ShortData",
                [](v1::Tensor& m) { m.mutable_data()->resize(12); },
                "x.data: got 12 bytes, expected 16 for float32 [1, 4]"},
        Refusal{"LongData", [](v1::Tensor& m) { m.mutable_data()->resize(17); },
                "x.data: got 17 bytes, expected 16 for float32 [1, 4]"},
        Refusal{"Float32ForBFloat16",
                [](v1::Tensor& m) { m.set_dtype(v1::DTYPE_BFLOAT16); },
                "x.data: got 16 bytes, expected 8 for bfloat16 [1, 4]"},
        Refusal{"NoDType",
                [](v1::Tensor& m) { m.set_dtype(v1::DTYPE_UNSPECIFIED); },
                "x.dtype: got DTYPE_UNSPECIFIED, expected DTYPE_FLOAT32 or "
                "DTYPE_BFLOAT16"},
        Refusal{"UnknownDType",
                [](v1::Tensor& m) { m.set_dtype(static_cast<v1::DType>(77)); },
                "x.dtype: got 77, expected DTYPE_FLOAT32 or DTYPE_BFLOAT16"},
        Refusal{"NegativeExtent", [](v1::Tensor& m) { m.set_shape(0, -1); },
                "x.shape: got [-1, 4], expected extents >= 0"},
        // Would be terabytes; nothing is allocated.
        Refusal{"MoreThanReceived",
                [](v1::Tensor& m) { m.set_shape(0, int64_t{1} << 38); },
                "x.data: got 16 bytes, expected 4398046511104 for float32 "
                "[274877906944, 4]"},
        Refusal{"OverflowingShape",
                [](v1::Tensor& m) { m.set_shape(0, int64_t{1} << 62); },
                "x.shape: got [4611686018427387904, 4], expected at most 2^40 "
                "elements"},
        Refusal{"TooManyDimensions",
                [](v1::Tensor& m) {
                  for (int i = 0; i < 40; ++i) m.add_shape(1);
                },
                "x.shape: got 42 dimensions, expected at most 32"},
        Refusal{"BothKindsOfValues",
                [](v1::Tensor& m) { m.add_float_values(1); },
                "x: got both float_values and data, expected one of them"},
        Refusal{"FewFloatValues",
                [](v1::Tensor& m) {
                  m.clear_data();
                  m.add_float_values(1);
                },
                "x.float_values: got 1, expected 4 values for [1, 4]"},
        Refusal{"BFloat16FloatValues",
                [](v1::Tensor& m) {
                  m.clear_data();
                  m.set_dtype(v1::DTYPE_BFLOAT16);
                  m.add_float_values(1);
                },
                "x.float_values: got DTYPE_BFLOAT16, expected DTYPE_FLOAT32, "
                "or data"}),
    [](const auto& instance) { return instance.param.name; });

ParameterSlice Slice() {
  ParameterSlice slice;
  slice.name = "experts.3.weight";
  slice.shape = {4, 2};
  slice.offset = 5;
  slice.values = {1.0f, 2.0f, 3.0f};
  return slice;
}

TEST(SliceCodecTest, ComesBackAsItWas) {
  ASSERT_OK_AND_ASSIGN(const ParameterSlice decoded,
                       DecodeSlice(EncodeSlice(Slice()), "slices[0]"));
  EXPECT_EQ(decoded.name, "experts.3.weight");
  EXPECT_THAT(decoded.shape, ElementsAre(4, 2));
  EXPECT_EQ(decoded.offset, 5);
  EXPECT_THAT(decoded.values, ElementsAre(1.0f, 2.0f, 3.0f));
}

TEST(SliceCodecTest, RefusesWhatLiesOutsideOfTheParameter) {
  for (const int64_t offset :
       {int64_t{-1}, int64_t{6}, std::numeric_limits<int64_t>::max(),
        std::numeric_limits<int64_t>::min()}) {
    v1::ParameterSlice message = EncodeSlice(Slice());
    message.set_offset(offset);
    EXPECT_THAT(DecodeSlice(message, "slices[0]"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat("slices[0]: got 3 values from offset ",
                                      offset, ", expected a part of [4, 2]")));
  }
}

TEST(SliceCodecTest, RefusesValuesOfMoreThanOneDimension) {
  v1::ParameterSlice message = EncodeSlice(Slice());
  message.mutable_values()->add_shape(1);
  EXPECT_THAT(
      DecodeSlice(message, "slices[0]"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "slices[0].values.shape: got [3, 1], expected one dimension"));
}

TEST(KindCodecTest, RefusesUnknownKinds) {
  ASSERT_OK_AND_ASSIGN(const ParameterKind kind,
                       DecodeKind(EncodeKind(ParameterKind::kGradient)));
  EXPECT_EQ(kind, ParameterKind::kGradient);
  EXPECT_THAT(DecodeKind(static_cast<v1::ParameterKind>(9)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "kind: got 9, expected PARAMETER_KIND_VALUE or "
                       "PARAMETER_KIND_GRADIENT"));
}

}  // namespace
}  // namespace switchyard::wire
