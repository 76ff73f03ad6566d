#include "services/wire/stream_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/status_testing.h"
#include "services/wire/tensor_message.h"

namespace switchyard::wire {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;

grpc::ByteBuffer Bytes(const std::string& text, size_t slice_bytes = 1 << 20) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < text.size(); at += slice_bytes) {
    slices.emplace_back(text.substr(at, slice_bytes));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

v1::StreamRequest ForwardMessage() {
  v1::StreamRequest message;
  message.set_id(300);
  message.set_timeout_ms(7);
  v1::ForwardRequest& forward = *message.mutable_forward();
  forward.set_layer("moe");
  forward.set_mode(v1::MODE_TRAIN);
  forward.set_microbatch(5);
  forward.mutable_x()->set_data(std::string(1000, 'x'));
  return message;
}

TEST(StreamMessageTest, RequestsAreThoseOfTheGeneratedCode) {
  const v1::StreamRequest message = ForwardMessage();
  const std::string body = message.forward().SerializeAsString();
  EXPECT_EQ(Text(EncodeStreamRequest({.id = 300,
                                      .timeout_ms = 7,
                                      .call = StreamCall::kForward,
                                      .body = Bytes(body, 100)})),
            message.SerializeAsString());
  for (const size_t slice_bytes : {1u, 3u, 64u, 10'000u}) {
    ASSERT_OK_AND_ASSIGN(
        const StreamFrame frame,
        DecodeStreamRequest(Bytes(message.SerializeAsString(), slice_bytes)));
    EXPECT_EQ(frame.id, 300u);
    EXPECT_EQ(frame.timeout_ms, 7u);
    EXPECT_EQ(frame.call, StreamCall::kForward);
    EXPECT_EQ(Text(frame.body), body);
  }
}

TEST(StreamMessageTest, ResponsesAreThoseOfTheGeneratedCode) {
  v1::StreamResponse message;
  message.set_id(1);
  message.mutable_step()->set_step(9);
  EXPECT_EQ(Text(EncodeStreamResponse(
                {.id = 1,
                 .call = StreamCall::kStep,
                 .body = Bytes(message.step().SerializeAsString())})),
            message.SerializeAsString());
  ASSERT_OK_AND_ASSIGN(const StreamFrame error,
                       DecodeStreamResponse(EncodeStreamResponse(
                           {.id = 2,
                            .call = StreamCall::kStep,
                            .status = absl::NotFoundError("no such layer")})));
  EXPECT_EQ(error.id, 2u);
  EXPECT_THAT(error.status,
              StatusIs(absl::StatusCode::kNotFound, "no such layer"));
}

TEST(StreamMessageTest, WhatIsOutOfOrderGoesToTheGeneratedParser) {
  const v1::StreamRequest whole = ForwardMessage();
  v1::StreamRequest numbers;
  numbers.set_id(300);
  v1::StreamRequest call;
  *call.mutable_forward() = whole.forward();
  // The call first, then its number; an unknown field at the end.
  const std::string text =
      call.SerializeAsString() + numbers.SerializeAsString() + "\x78\x01";
  ASSERT_OK_AND_ASSIGN(const StreamFrame frame,
                       DecodeStreamRequest(Bytes(text)));
  EXPECT_EQ(frame.id, 300u);
  EXPECT_EQ(frame.call, StreamCall::kForward);
  EXPECT_EQ(Text(frame.body), whole.forward().SerializeAsString());
}

TEST(StreamMessageTest, AFrameMayHaveNoCall) {
  ASSERT_OK_AND_ASSIGN(const StreamFrame empty, DecodeStreamRequest(Bytes("")));
  EXPECT_EQ(empty.call, StreamCall::kNone);
}

TEST(StreamMessageTest, RefusesBytesThatAreNone) {
  for (const std::string& text :
       {std::string("\x08"), std::string("\x1a\x05zzz"), std::string("\xff")}) {
    EXPECT_THAT(DecodeStreamRequest(Bytes(text)),
                StatusIs(absl::StatusCode::kInvalidArgument, _));
  }
}

TEST(StreamMessageTest, TheHeadSaysWhatARequestIsAbout) {
  v1::StreamRequest message = ForwardMessage();
  const auto head_of = [&] {
    const auto frame = DecodeStreamRequest(Bytes(message.SerializeAsString()));
    EXPECT_OK(frame);
    return HeadOf(*frame);
  };
  StreamHead head = head_of();
  EXPECT_EQ(head.layer, "moe");
  EXPECT_TRUE(head.train);
  EXPECT_EQ(head.microbatch, 5u);
  message.mutable_forward()->set_mode(v1::MODE_EVAL);
  message.mutable_forward()->clear_microbatch();
  head = head_of();
  EXPECT_FALSE(head.train);
  EXPECT_EQ(head.microbatch, std::nullopt);
  message.mutable_step()->set_layer("other");
  message.mutable_step()->set_step(4);
  message.mutable_step()->set_learning_rate(0.5f);
  head = head_of();
  EXPECT_EQ(head.call, StreamCall::kStep);
  EXPECT_EQ(head.layer, "other");
  EXPECT_EQ(head.microbatch, std::nullopt);
  message.mutable_backward()->set_layer("moe");
  message.mutable_backward()->set_step(4);
  message.mutable_backward()->set_microbatch(2);
  EXPECT_EQ(head_of().microbatch, 2u);
}

}  // namespace
}  // namespace switchyard::wire
