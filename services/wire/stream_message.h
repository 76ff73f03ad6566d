// The messages of Gateway.Stream: a number around a message of a unary call,
// whose bytes go through as they are (call_buffer.h makes and reads them).
// Thread-safe.
#ifndef SWITCHYARD_SERVICES_WIRE_STREAM_MESSAGE_H_
#define SWITCHYARD_SERVICES_WIRE_STREAM_MESSAGE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "switchyard/v1/gateway.pb.h"

namespace switchyard::wire {

// The field numbers, in requests and responses.
enum class StreamCall {
  kNone = 0,
  kForward = v1::StreamRequest::kForwardFieldNumber,
  kBackward = v1::StreamRequest::kBackwardFieldNumber,
  kStep = v1::StreamRequest::kStepFieldNumber,
  kTrainStep = v1::StreamRequest::kTrainStepFieldNumber,
};
// "Forward".
absl::string_view NameOf(StreamCall call);

// One message taken apart.
struct StreamFrame {
  uint64_t id = 0;
  // Requests: 0 is none.
  uint64_t timeout_ms = 0;
  StreamCall call = StreamCall::kNone;
  // The request or response of that call.
  grpc::ByteBuffer body;
  // Responses: what the call ended with.
  absl::Status status;
};

// What a request is about, as far as order on the stream goes.
struct StreamHead {
  StreamCall call = StreamCall::kNone;
  // Empty where it is not at the message's front, where generated code puts it.
  std::string layer;
  bool train = false;
  std::optional<uint64_t> microbatch;
};

// Shares the memory of `frame.body`.
grpc::ByteBuffer EncodeStreamRequest(const StreamFrame& frame);
grpc::ByteBuffer EncodeStreamResponse(const StreamFrame& frame);

// INVALID_ARGUMENT for bytes that are no such message. A frame without a call
// is none of their business.
absl::StatusOr<StreamFrame> DecodeStreamRequest(const grpc::ByteBuffer& bytes);
absl::StatusOr<StreamFrame> DecodeStreamResponse(const grpc::ByteBuffer& bytes);

// Looks at the front of the body only.
StreamHead HeadOf(const StreamFrame& request);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_STREAM_MESSAGE_H_
