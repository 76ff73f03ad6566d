// The calls that carry tokens, as gRPC's buffers: the codecs of
// layer_call_codec.h and expert_codec.h around tensor_message.h. Thread-safe.
#ifndef SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_H_
#define SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_H_

#include <grpcpp/support/byte_buffer.h>

#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "services/wire/expert_codec.h"
#include "services/wire/layer_call_codec.h"
#include "services/wire/tensor_message.h"

namespace switchyard::wire {

// The message as which a value travels, and its large tensor in both.
template <typename Value>
struct Travel;

template <>
struct Travel<ForwardRequest> {
  using Message = v1::ForwardRequest;
  static constexpr int kField = Message::kXFieldNumber;
  static const Tensor* Of(const ForwardRequest& value) { return &value.x; }
  static const v1::Tensor& Of(const Message& message) { return message.x(); }
};

template <>
struct Travel<ForwardResult> {
  using Message = v1::ForwardResponse;
  static constexpr int kField = Message::kYFieldNumber;
  static const Tensor* Of(const ForwardResult& value) { return &value.y; }
  static const v1::Tensor& Of(const Message& message) { return message.y(); }
};

template <>
struct Travel<BackwardRequest> {
  using Message = v1::BackwardRequest;
  static constexpr int kField = Message::kGradYFieldNumber;
  static const Tensor* Of(const BackwardRequest& value) {
    return &value.grad_y;
  }
  static const v1::Tensor& Of(const Message& message) {
    return message.grad_y();
  }
};

template <>
struct Travel<BackwardResult> {
  using Message = v1::BackwardResponse;
  static constexpr int kField = Message::kGradXFieldNumber;
  static const Tensor* Of(const BackwardResult& value) { return &value.grad_x; }
  static const v1::Tensor& Of(const Message& message) {
    return message.grad_x();
  }
};

template <>
struct Travel<TrainStepRequest> {
  using Message = v1::TrainStepRequest;
  static constexpr int kField = Message::kXFieldNumber;
  static const Tensor* Of(const TrainStepRequest& value) { return &value.x; }
  static const v1::Tensor& Of(const Message& message) { return message.x(); }
};

template <>
struct Travel<TrainStepResult> {
  using Message = v1::TrainStepResponse;
  static constexpr int kField = Message::kGradXFieldNumber;
  static const Tensor* Of(const TrainStepResult& value) {
    return value.grad_x.has_value() ? &*value.grad_x : nullptr;
  }
  static const v1::Tensor& Of(const Message& message) {
    return message.grad_x();
  }
};

template <>
struct Travel<ExpertForwardRequest> {
  using Message = v1::ExpertForwardRequest;
  static constexpr int kField = Message::kXFieldNumber;
  static const Tensor* Of(const ExpertForwardRequest& value) {
    return &value.x;
  }
  static const v1::Tensor& Of(const Message& message) { return message.x(); }
};

template <>
struct Travel<ExpertForwardResult> {
  using Message = v1::ExpertForwardResponse;
  static constexpr int kField = Message::kYFieldNumber;
  static const Tensor* Of(const ExpertForwardResult& value) { return &value.y; }
  static const v1::Tensor& Of(const Message& message) { return message.y(); }
};

template <>
struct Travel<ExpertBackwardRequest> {
  using Message = v1::ExpertBackwardRequest;
  static constexpr int kField = Message::kGradYFieldNumber;
  static const Tensor* Of(const ExpertBackwardRequest& value) {
    return &value.grad_y;
  }
  static const v1::Tensor& Of(const Message& message) {
    return message.grad_y();
  }
};

template <>
struct Travel<ExpertBackwardResult> {
  using Message = v1::ExpertBackwardResponse;
  static constexpr int kField = Message::kGradXFieldNumber;
  static const Tensor* Of(const ExpertBackwardResult& value) {
    return &value.grad_x;
  }
  static const v1::Tensor& Of(const Message& message) {
    return message.grad_x();
  }
};

// The bytes of Encode(value, dtype). The buffer shares the memory of a float32
// tensor: see EncodeAround.
template <typename Value>
grpc::ByteBuffer EncodeBuffer(const Value& value, v1::DType dtype) {
  return EncodeAround(EncodeRest(value), Travel<Value>::kField,
                      Travel<Value>::Of(value), dtype);
}

template <typename Value>
struct Received {
  Value value;
  // Of its large tensor, on the wire.
  v1::DType dtype = v1::DTYPE_UNSPECIFIED;
};

// What Decode makes of the message in `bytes`, errors too; INVALID_ARGUMENT for
// bytes that are none.
template <typename Value>
absl::StatusOr<Received<Value>> DecodeBuffer(const grpc::ByteBuffer& bytes) {
  typename Travel<Value>::Message message;
  std::optional<TakenTensor> taken = TakeTensor(bytes, Travel<Value>::kField);
  if (taken.has_value() && message.ParseFromString(taken->rest)) {
    absl::StatusOr<Value> value = Decode(message, std::move(taken->tensor));
    if (value.ok()) return Received<Value>{*std::move(value), taken->dtype};
  }
  // What was out of the ordinary is judged, and refused, in one place.
  taken.reset();
  SWITCHYARD_RETURN_IF_ERROR(ParseWhole(bytes, message));
  SWITCHYARD_ASSIGN_OR_RETURN(Value value, Decode(message));
  return Received<Value>{std::move(value), Travel<Value>::Of(message).dtype()};
}

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_H_
