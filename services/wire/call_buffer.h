// The calls that carry tokens, as gRPC's buffers: the codecs of
// layer_call_codec.h and expert_codec.h around tensor_message.h. Thread-safe.
#ifndef SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_H_
#define SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "services/wire/expert_codec.h"
#include "services/wire/layer_call_codec.h"
#include "services/wire/shared_tensor.h"
#include "services/wire/tensor_message.h"

namespace switchyard::wire {

// The message as which a value travels, and its large tensor in both.
template <typename Value>
struct Travel;

// Messages of requests that may offer a place for the answer's large tensor.
template <typename Message>
concept OffersPlace = requires(Message message) {
  message.mutable_answer_memory();
};

template <>
struct Travel<ForwardRequest> {
  using Message = v1::ForwardRequest;
  static constexpr int kField = Message::kXFieldNumber;
  static const Tensor* Of(const ForwardRequest& value) { return &value.x; }
  static const v1::Tensor& Of(const Message& message) { return message.x(); }
  static v1::Tensor* Mutable(Message& message) { return message.mutable_x(); }
  static const char* FieldName() { return "x"; }
};

template <>
struct Travel<ForwardResult> {
  using Message = v1::ForwardResponse;
  static constexpr int kField = Message::kYFieldNumber;
  static const Tensor* Of(const ForwardResult& value) { return &value.y; }
  static const v1::Tensor& Of(const Message& message) { return message.y(); }
  static v1::Tensor* Mutable(Message& message) { return message.mutable_y(); }
  static const char* FieldName() { return "y"; }
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
  static v1::Tensor* Mutable(Message& message) {
    return message.mutable_grad_y();
  }
  static const char* FieldName() { return "grad_y"; }
};

template <>
struct Travel<BackwardResult> {
  using Message = v1::BackwardResponse;
  static constexpr int kField = Message::kGradXFieldNumber;
  static const Tensor* Of(const BackwardResult& value) { return &value.grad_x; }
  static const v1::Tensor& Of(const Message& message) {
    return message.grad_x();
  }
  static v1::Tensor* Mutable(Message& message) {
    return message.mutable_grad_x();
  }
  static const char* FieldName() { return "grad_x"; }
};

template <>
struct Travel<TrainStepRequest> {
  using Message = v1::TrainStepRequest;
  static constexpr int kField = Message::kXFieldNumber;
  static const Tensor* Of(const TrainStepRequest& value) { return &value.x; }
  static const v1::Tensor& Of(const Message& message) { return message.x(); }
  static v1::Tensor* Mutable(Message& message) { return message.mutable_x(); }
  static const char* FieldName() { return "x"; }
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
  static v1::Tensor* Mutable(Message& message) {
    return message.mutable_grad_x();
  }
  static const char* FieldName() { return "grad_x"; }
};

template <>
struct Travel<ExpertForwardRequest> {
  using Message = v1::ExpertForwardRequest;
  static constexpr int kField = Message::kXFieldNumber;
  static const Tensor* Of(const ExpertForwardRequest& value) {
    return &value.x;
  }
  static const v1::Tensor& Of(const Message& message) { return message.x(); }
  static v1::Tensor* Mutable(Message& message) { return message.mutable_x(); }
  static const char* FieldName() { return "x"; }
};

template <>
struct Travel<ExpertForwardResult> {
  using Message = v1::ExpertForwardResponse;
  static constexpr int kField = Message::kYFieldNumber;
  static const Tensor* Of(const ExpertForwardResult& value) { return &value.y; }
  static const v1::Tensor& Of(const Message& message) { return message.y(); }
  static v1::Tensor* Mutable(Message& message) { return message.mutable_y(); }
  static const char* FieldName() { return "y"; }
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
  static v1::Tensor* Mutable(Message& message) {
    return message.mutable_grad_y();
  }
  static const char* FieldName() { return "grad_y"; }
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
  static v1::Tensor* Mutable(Message& message) {
    return message.mutable_grad_x();
  }
  static const char* FieldName() { return "grad_x"; }
};

// The bytes of Encode(value, dtype). The buffer shares the memory of a float32
// tensor: see EncodeAround.
template <typename Value>
grpc::ByteBuffer EncodeBuffer(const Value& value, v1::DType dtype) {
  return EncodeAround(EncodeRest(value), Travel<Value>::kField,
                      Travel<Value>::Of(value), dtype);
}

// The same with the large tensor, which there must be, at `place`; `offered`
// may be null.
template <typename Value>
grpc::ByteBuffer EncodeShared(const Value& value, const v1::SharedMemory& place,
                              const v1::SharedMemory* offered = nullptr) {
  typename Travel<Value>::Message message = EncodeRest(value);
  *Travel<Value>::Mutable(message) =
      EncodeSharedTensor(*Travel<Value>::Of(value), place);
  if constexpr (OffersPlace<typename Travel<Value>::Message>) {
    if (offered != nullptr) *message.mutable_answer_memory() = *offered;
  }
  const grpc::Slice bytes(message.SerializeAsString());
  return grpc::ByteBuffer(&bytes, 1);
}

template <typename Value>
struct Received {
  Value value;
  // Of its large tensor, on the wire.
  v1::DType dtype = v1::DTYPE_UNSPECIFIED;
  // Of a request: where the caller would have the answer's large tensor.
  AnswerPlace answer;
};

// The bytes of an answer to `request`, in its dtype; the large tensor at the
// place that came with it, where it fits.
template <typename Value, typename Request>
grpc::ByteBuffer EncodeAnswer(const Value& value,
                              const Received<Request>& request,
                              v1::DType dtype) {
  const Tensor* const tensor = Travel<Value>::Of(value);
  if (dtype == v1::DTYPE_FLOAT32 && tensor != nullptr &&
      PutInto(request.answer, *tensor)) {
    return EncodeShared(value, request.answer.message);
  }
  return EncodeBuffer(value, dtype);
}

// What Decode makes of `message`, whose large tensor is `taken` or else in it.
template <typename Value>
absl::StatusOr<Received<Value>> DecodeReceived(
    const typename Travel<Value>::Message& message, std::optional<Tensor> taken,
    v1::DType dtype, const SharedMemoryView* view) {
  Received<Value> received;
  received.dtype = dtype;
  if constexpr (OffersPlace<typename Travel<Value>::Message>) {
    if (view != nullptr && message.has_answer_memory()) {
      SWITCHYARD_ASSIGN_OR_RETURN(
          received.answer, DecodeAnswerPlace(message.answer_memory(), *view));
    }
  }
  const v1::Tensor& tensor = Travel<Value>::Of(message);
  if (!taken.has_value() && view != nullptr && tensor.has_shared()) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        taken, DecodeSharedTensor(tensor, *view, Travel<Value>::FieldName()));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(received.value,
                              Decode(message, std::move(taken)));
  return received;
}

// What Decode makes of the message in `bytes`, errors too; INVALID_ARGUMENT for
// bytes that are none. `view`: the shared memory that the peer may name; null:
// none.
template <typename Value>
absl::StatusOr<Received<Value>> DecodeBuffer(
    const grpc::ByteBuffer& bytes, const SharedMemoryView* view = nullptr) {
  typename Travel<Value>::Message message;
  std::optional<TakenTensor> taken = TakeTensor(bytes, Travel<Value>::kField);
  if (taken.has_value() && message.ParseFromString(taken->rest)) {
    absl::StatusOr<Received<Value>> received = DecodeReceived<Value>(
        message, std::move(taken->tensor), taken->dtype, view);
    if (received.ok()) return received;
  }
  // What was out of the ordinary is judged, and refused, in one place.
  taken.reset();
  SWITCHYARD_RETURN_IF_ERROR(ParseWhole(bytes, message));
  return DecodeReceived<Value>(message, std::nullopt,
                               Travel<Value>::Of(message).dtype(), view);
}

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_CALL_BUFFER_H_
