#include "services/wire/stream_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/support/slice.h>

#include <array>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "services/wire/slice_reader.h"
#include "services/wire/tensor_message.h"

namespace switchyard::wire {
namespace {

constexpr int kIdField = v1::StreamRequest::kIdFieldNumber;
constexpr int kTimeoutField = v1::StreamRequest::kTimeoutMsFieldNumber;

// Of StreamRequest and StreamResponse alike.
static_assert(int{v1::StreamResponse::kIdFieldNumber} == kIdField);
static_assert(int{v1::StreamResponse::kForwardFieldNumber} ==
              int{v1::StreamRequest::kForwardFieldNumber});
static_assert(int{v1::StreamResponse::kBackwardFieldNumber} ==
              int{v1::StreamRequest::kBackwardFieldNumber});
static_assert(int{v1::StreamResponse::kStepFieldNumber} ==
              int{v1::StreamRequest::kStepFieldNumber});
static_assert(int{v1::StreamResponse::kTrainStepFieldNumber} ==
              int{v1::StreamRequest::kTrainStepFieldNumber});

// All field numbers are below 16: a tag is one byte.
constexpr uint8_t VarintTag(int field) {
  return static_cast<uint8_t>(field << 3);
}
constexpr uint8_t BytesTag(int field) {
  return static_cast<uint8_t>(field << 3 | 2);
}

void AppendVarint(uint64_t value, std::string& to) {
  std::array<uint8_t, 10> bytes;
  const uint8_t* const end =
      google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(
          value, bytes.data());
  to.append(reinterpret_cast<const char*>(bytes.data()),
            static_cast<size_t>(end - bytes.data()));
}

void AppendField(int field, uint64_t value, std::string& to) {
  if (value == 0) return;
  to.push_back(static_cast<char>(VarintTag(field)));
  AppendVarint(value, to);
}

// `front`, then the body as the field of the frame's call.
grpc::ByteBuffer Wrap(std::string front, const StreamFrame& frame) {
  std::vector<grpc::Slice> slices = {grpc::Slice()};
  std::vector<grpc::Slice> body;
  // Ours, and so readable.
  static_cast<void>(frame.body.Dump(&body));
  front.push_back(static_cast<char>(BytesTag(static_cast<int>(frame.call))));
  AppendVarint(frame.body.Length(), front);
  slices[0] = grpc::Slice(front);
  slices.insert(slices.end(), body.begin(), body.end());
  return grpc::ByteBuffer(slices.data(), slices.size());
}

template <typename Message>
grpc::ByteBuffer Serialize(const Message& message) {
  const grpc::Slice whole(message.SerializeAsString());
  return grpc::ByteBuffer(&whole, 1);
}

bool IsCall(int field) {
  return field >= static_cast<int>(StreamCall::kForward) &&
         field <= static_cast<int>(StreamCall::kTrainStep);
}

// A message whose numbers come first and whose call takes all the rest, as
// generated code writes it; nullopt for any other.
std::optional<StreamFrame> TakeFrame(const grpc::ByteBuffer& bytes) {
  SliceReader reader(bytes);
  StreamFrame frame;
  int last_field = 0;
  uint8_t tag = 0;
  while (reader.ReadByte(tag)) {
    const int field = tag >> 3;
    uint64_t value = 0;
    if (field <= last_field || !reader.ReadVarint(value)) return std::nullopt;
    last_field = field;
    if (tag == VarintTag(kIdField)) {
      frame.id = value;
    } else if (tag == VarintTag(kTimeoutField)) {
      frame.timeout_ms = value;
    } else if (IsCall(field) && tag == BytesTag(field) &&
               value == reader.remaining()) {
      frame.call = static_cast<StreamCall>(field);
      frame.body = reader.RestAsBuffer();
      return frame;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// With the generated parser.
template <typename Message>
StreamFrame Decode(const Message& message) {
  StreamFrame frame;
  frame.id = message.id();
  if (message.has_forward()) {
    frame.call = StreamCall::kForward;
    frame.body = Serialize(message.forward());
  } else if (message.has_backward()) {
    frame.call = StreamCall::kBackward;
    frame.body = Serialize(message.backward());
  } else if (message.has_step()) {
    frame.call = StreamCall::kStep;
    frame.body = Serialize(message.step());
  } else if (message.has_train_step()) {
    frame.call = StreamCall::kTrainStep;
    frame.body = Serialize(message.train_step());
  }
  return frame;
}

}  // namespace

absl::string_view NameOf(StreamCall call) {
  switch (call) {
    case StreamCall::kForward:
      return "Forward";
    case StreamCall::kBackward:
      return "Backward";
    case StreamCall::kStep:
      return "Step";
    case StreamCall::kTrainStep:
      return "TrainStep";
    case StreamCall::kNone:
      break;
  }
  return "none";
}

grpc::ByteBuffer EncodeStreamRequest(const StreamFrame& frame) {
  std::string front;
  AppendField(kIdField, frame.id, front);
  AppendField(kTimeoutField, frame.timeout_ms, front);
  return Wrap(std::move(front), frame);
}

grpc::ByteBuffer EncodeStreamResponse(const StreamFrame& frame) {
  if (!frame.status.ok()) {
    v1::StreamResponse response;
    response.set_id(frame.id);
    response.mutable_error()->set_code(
        static_cast<int32_t>(frame.status.code()));
    response.mutable_error()->set_message(std::string(frame.status.message()));
    return Serialize(response);
  }
  std::string front;
  AppendField(kIdField, frame.id, front);
  return Wrap(std::move(front), frame);
}

absl::StatusOr<StreamFrame> DecodeStreamRequest(const grpc::ByteBuffer& bytes) {
  std::optional<StreamFrame> frame = TakeFrame(bytes);
  if (frame.has_value()) return *std::move(frame);
  v1::StreamRequest message;
  SWITCHYARD_RETURN_IF_ERROR(ParseWhole(bytes, message));
  StreamFrame parsed = Decode(message);
  parsed.timeout_ms = message.timeout_ms();
  return parsed;
}

absl::StatusOr<StreamFrame> DecodeStreamResponse(
    const grpc::ByteBuffer& bytes) {
  std::optional<StreamFrame> frame = TakeFrame(bytes);
  if (frame.has_value()) return *std::move(frame);
  v1::StreamResponse message;
  SWITCHYARD_RETURN_IF_ERROR(ParseWhole(bytes, message));
  StreamFrame parsed = Decode(message);
  if (message.has_error()) {
    parsed.status =
        absl::Status(static_cast<absl::StatusCode>(message.error().code()),
                     message.error().message());
    if (parsed.status.ok()) parsed.status = absl::UnknownError("code 0");
  }
  return parsed;
}

StreamHead HeadOf(const StreamFrame& request) {
  constexpr int kLayer = v1::ForwardRequest::kLayerFieldNumber;
  constexpr int kMode = v1::ForwardRequest::kModeFieldNumber;
  constexpr int kMicrobatch = v1::ForwardRequest::kMicrobatchFieldNumber;
  static_assert(kMicrobatch ==
                int{v1::BackwardRequest::kMicrobatchFieldNumber});
  StreamHead head;
  head.call = request.call;
  // Not said is not eval: then it is ordered, or refused.
  head.train = true;
  const bool has_microbatch = request.call == StreamCall::kForward ||
                              request.call == StreamCall::kBackward;
  SliceReader reader(request.body);
  uint8_t tag = 0;
  uint64_t value = 0;
  while (reader.ReadByte(tag) && tag >> 3 <= kMicrobatch &&
         reader.ReadVarint(value)) {
    if (tag == BytesTag(kLayer) && value <= reader.remaining()) {
      head.layer.clear();
      reader.Append(value, head.layer);
    } else if (tag == VarintTag(kMode) &&
               request.call == StreamCall::kForward) {
      head.train = value != v1::MODE_EVAL;
    } else if (tag == VarintTag(kMicrobatch) && has_microbatch) {
      head.microbatch = value;
    } else if ((tag & 7) != 0) {
      break;
    }
  }
  return head;
}

}  // namespace switchyard::wire
