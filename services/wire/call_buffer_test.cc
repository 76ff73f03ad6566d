#include "services/wire/call_buffer.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "common/base/status_testing.h"
#include "services/wire/call_buffer_testing.h"
#include "services/wire/tensor_codec.h"

namespace switchyard::wire {
namespace {

using testing::BufferOutcome;
using testing::BytesOf;
using testing::GeneratedOutcome;
using testing::InSlices;

// One of each call, all fields set but the tensor's.
template <typename Value>
struct Sample;
template <>
struct Sample<ForwardRequest> {
  static constexpr char kRest[] = R"(
      layer: "m" mode: MODE_TRAIN microbatch: 300 return_routes: true
      allow_non_finite: true used_tokens: [true, false, true]
      topk_ids: [3, -1, 70000] topk_weights: [0.5, 0, -1])";
};
template <>
struct Sample<ForwardResult> {
  static constexpr char kRest[] = R"(
      aux_loss: 1.5 expert_counts: [3, 4000] kept_counts: [2, 9] capacity: 77
      step: 5 microbatch: 6 aux_loss_terms: [0.5, 0.25]
      routes { k: 1 expert_ids: [-1, 2] slots: [0, 1] weights: [0, 0.5] }
      timing { gateway_us: 1 gate_us: 2 workers_wait_us: 3 })";
};
template <>
struct Sample<BackwardRequest> {
  static constexpr char kRest[] = R"(
      layer: "m" step: 1000 microbatch: 2 grad_aux_loss: 0.01)";
};
template <>
struct Sample<BackwardResult> {
  static constexpr char kRest[] = R"(
      timing { gateway_us: 100000 } grad_topk_weights: [1, 2, 3])";
};
template <>
struct Sample<TrainStepRequest> {
  static constexpr char kRest[] = R"(
      layer: "m" learning_rate: 0.1 return_grad_x: true used_tokens: true
      cross_entropy { labels: [0, 3, 200] })";
};
template <>
struct Sample<TrainStepResult> {
  static constexpr char kRest[] = R"(
      loss: 1 head_loss: 2 aux_loss: 3 expert_counts: 1 kept_counts: 1 step: 9
      grad_norm: 0.5 timing { gateway_us: 1 })";
};
template <>
struct Sample<ExpertForwardRequest> {
  static constexpr char kRest[] = R"(
      layer: "m" generation: 7 keep { step: 5 microbatch: 6 }
      exact_combine: true route_tokens: [0, 0, 1] route_experts: [1, 500, 0]
      route_weights: [0.5, 0.25, 1])";
};
template <>
struct Sample<ExpertForwardResult> {
  static constexpr char kRest[] = "compute_us: 12345";
};
template <>
struct Sample<ExpertBackwardRequest> {
  static constexpr char kRest[] = R"(
      layer: "m" generation: 7 key { step: 5 microbatch: 6 })";
};
template <>
struct Sample<ExpertBackwardResult> {
  static constexpr char kRest[] = "route_dots: [1, 2, 3] compute_us: 9";
};

Tensor Ramp(const Shape& shape) {
  Tensor tensor = Tensor::Uninitialized(shape);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    tensor.data()[i] = static_cast<float>(i % 251) - 100.5f;
  }
  return tensor;
}

template <typename Value>
class CallBufferTest : public ::testing::Test {
 protected:
  using Message = typename Travel<Value>::Message;

  static Value WithTensor(const Shape& shape) {
    Message rest;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        Sample<Value>::kRest, &rest));
    absl::StatusOr<Value> value = Decode(rest, Ramp(shape));
    EXPECT_OK(value);
    return *std::move(value);
  }
  static std::string Bytes(const Shape& shape, v1::DType dtype) {
    return Encode(WithTensor(shape), dtype).SerializeAsString();
  }
  // Where the tensor's field begins, the tag first.
  static std::string TensorField(const v1::Tensor& tensor) {
    Message message;
    const auto* field =
        Message::descriptor()->FindFieldByNumber(Travel<Value>::kField);
    Message::GetReflection()->MutableMessage(&message, field)->CopyFrom(tensor);
    return message.SerializeAsString();
  }
};

using Values =
    ::testing::Types<ForwardRequest, ForwardResult, BackwardRequest,
                     BackwardResult, TrainStepRequest, TrainStepResult,
                     ExpertForwardRequest, ExpertForwardResult,
                     ExpertBackwardRequest, ExpertBackwardResult>;
TYPED_TEST_SUITE(CallBufferTest, Values);

// No bytes, few that are copied, and more that are shared.
const Shape kShapes[] = {{0, 4}, {}, {3, 5}, {2, 3, 1000}};

TYPED_TEST(CallBufferTest, WritesWhatGeneratedCodeWrites) {
  for (const Shape& shape : kShapes) {
    for (const v1::DType dtype : {v1::DTYPE_FLOAT32, v1::DTYPE_BFLOAT16}) {
      const TypeParam value = this->WithTensor(shape);
      EXPECT_EQ(BytesOf(EncodeBuffer(value, dtype)),
                Encode(value, dtype).SerializeAsString());
    }
  }
}

TYPED_TEST(CallBufferTest, ReadsTheFastWayWhatGeneratedCodeWrites) {
  for (const Shape& shape : kShapes) {
    for (const v1::DType dtype : {v1::DTYPE_FLOAT32, v1::DTYPE_BFLOAT16}) {
      const std::string bytes = this->Bytes(shape, dtype);
      const grpc::ByteBuffer buffer = InSlices(bytes, 7, 101);
      EXPECT_TRUE(TakeTensor(buffer, Travel<TypeParam>::kField).has_value());
      EXPECT_EQ(BufferOutcome<TypeParam>(buffer),
                GeneratedOutcome<TypeParam>(bytes));
    }
  }
}

TYPED_TEST(CallBufferTest, ReadsTheSameHoweverTheBytesAreSliced) {
  for (const v1::DType dtype : {v1::DTYPE_FLOAT32, v1::DTYPE_BFLOAT16}) {
    const std::string bytes = this->Bytes({3, 5}, dtype);
    const std::string expected = GeneratedOutcome<TypeParam>(bytes);
    for (size_t first = 1; first <= bytes.size(); ++first) {
      EXPECT_EQ(BufferOutcome<TypeParam>(InSlices(bytes, first, bytes.size())),
                expected);
      EXPECT_EQ(BufferOutcome<TypeParam>(InSlices(bytes, 1, first)), expected);
    }
  }
}

TYPED_TEST(CallBufferTest, LeavesTheExtraordinaryToTheGeneratedParser) {
  const v1::Tensor tensor = EncodeTensor(Ramp({2}), v1::DTYPE_FLOAT32);
  v1::Tensor by_hand;
  by_hand.set_dtype(v1::DTYPE_FLOAT32);
  by_hand.add_shape(1);
  by_hand.add_float_values(2);
  v1::Tensor lying = tensor;
  lying.set_shape(0, 1 << 30);
  v1::Tensor huge = tensor;
  huge.set_shape(0, int64_t{1} << 62);
  v1::Tensor negative = tensor;
  negative.set_shape(0, -2);
  v1::Tensor half = tensor;
  half.set_dtype(v1::DTYPE_FLOAT16);
  const std::string valid = this->Bytes({2}, v1::DTYPE_FLOAT32);
  const std::string field = this->TensorField(tensor);
  const std::string unknown = "\xa0\x06\x01";
  const std::string cases[] = {
      "",
      valid + this->TensorField(tensor),
      valid + this->TensorField(by_hand),
      this->TensorField(by_hand),
      this->TensorField(lying),
      this->TensorField(huge),
      this->TensorField(negative),
      this->TensorField(half),
      field + unknown,
      unknown + valid,
      // Data before its shape; an unknown field in the tensor; a length of five
      // bytes that could be one.
      std::string(1, field[0]) +
          std::string("\x0a\x08\x01\x22\x04wxyz\x12\x01\x01", 12),
      std::string(1, field[0]) +
          std::string("\x0b\x08\x01\x12\x01\x01\x78\x05\x22\x04wxyz", 13),
      std::string(1, field[0]) +
          std::string("\x8b\x80\x80\x80\x00\x08\x01\x12\x01\x01\x22\x04wxyz",
                      16),
      std::string(1, static_cast<char>(field[0] + 1)) + "\0",
  };
  for (const std::string& bytes : cases) {
    EXPECT_EQ(BufferOutcome<TypeParam>(InSlices(bytes, 3, 64)),
              GeneratedOutcome<TypeParam>(bytes));
  }
}

TYPED_TEST(CallBufferTest, JudgesEveryPieceOfAMessageAsTheGeneratedParserDoes) {
  const std::string bytes = this->Bytes({2, 2}, v1::DTYPE_FLOAT32);
  for (size_t end = 0; end < bytes.size(); ++end) {
    const std::string piece = bytes.substr(0, end);
    EXPECT_EQ(BufferOutcome<TypeParam>(InSlices(piece, 5, 64)),
              GeneratedOutcome<TypeParam>(piece));
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const char value : {'\0', '\1', '\x7f', '\x80', '\xff'}) {
      std::string changed = bytes;
      changed[i] = value;
      EXPECT_EQ(BufferOutcome<TypeParam>(InSlices(changed, 5, 64)),
                GeneratedOutcome<TypeParam>(changed));
    }
  }
}

TEST(CallBufferSharingTest, ALargeTensorIsSentFromItsOwnMemory) {
  ExpertForwardResult result;
  result.y = Ramp({64, 64});
  const void* const memory = result.y.data();
  const grpc::ByteBuffer buffer = EncodeBuffer(result, v1::DTYPE_FLOAT32);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(buffer.Dump(&slices).ok());
  ASSERT_GE(slices.size(), 2);
  EXPECT_EQ(slices[1].begin(), memory);
}

TEST(CallBufferSharingTest, TheBufferKeepsTheElementsAlive) {
  ExpertForwardResult result;
  result.y = Ramp({64, 64});
  const std::string expected = Encode(result).SerializeAsString();
  const grpc::ByteBuffer buffer = EncodeBuffer(result, v1::DTYPE_FLOAT32);
  result.y = Tensor();
  EXPECT_EQ(BytesOf(buffer), expected);
}

TEST(LosslessDTypeTest, IsBFloat16WhereEveryElementIsOne) {
  EXPECT_EQ(LosslessDType(Tensor()), v1::DTYPE_BFLOAT16);
  Tensor tensor = Tensor::Zeros({3, 1000});
  tensor.data()[5] = -1.5f;
  tensor.data()[6] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(LosslessDType(tensor), v1::DTYPE_BFLOAT16);
  tensor.data()[2999] = 1.0f + 0x1p-8f;
  EXPECT_EQ(LosslessDType(tensor), v1::DTYPE_FLOAT32);
}

TEST(CallBufferSharingTest, BytesThatAreNoMessageAreNamed) {
  EXPECT_EQ(
      DecodeBuffer<ForwardRequest>(InSlices("\xff\xff", 1, 1)).status(),
      absl::InvalidArgumentError(
          "message: got 2 bytes, expected a switchyard.v1.ForwardRequest"));
}

}  // namespace
}  // namespace switchyard::wire
