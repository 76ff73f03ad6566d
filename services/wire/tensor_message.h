// Messages around one large tensor, to and from gRPC's buffers without passing
// its elements through a protobuf object. Any other implementation of protobuf
// reads what is written here, and what it writes is read here. All functions
// are thread-safe.
#ifndef SWITCHYARD_SERVICES_WIRE_TENSOR_MESSAGE_H_
#define SWITCHYARD_SERVICES_WIRE_TENSOR_MESSAGE_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/tensor/tensor.h"
#include "switchyard/v1/tensor.pb.h"

namespace switchyard::wire {

// The message `rest` with `tensor` as its field number `field`, which `rest`
// must lack: byte for byte what the generated code writes. Null: `rest` alone.
//
// float32 elements are not copied: the buffer shares the tensor's memory, which
// must not be written to while the buffer, or gRPC, holds it.
grpc::ByteBuffer EncodeAround(const google::protobuf::MessageLite& rest,
                              int field, const Tensor* tensor, v1::DType dtype);

// BFLOAT16 if every element is one, so that it travels in half the bytes and no
// bit of it changes; otherwise FLOAT32.
v1::DType LosslessDType(const Tensor& tensor);

// A message taken apart.
struct TakenTensor {
  // The message's bytes without those of the tensor's field.
  std::string rest;
  Tensor tensor;
  // On the wire.
  v1::DType dtype = v1::DTYPE_UNSPECIFIED;
};

// Takes the tensor in field number `field` out of a message, its elements with
// one copy. Only if it is there once and as EncodeAround writes it (dtype,
// shape, data); nullopt for whatever else the bytes are, which the generated
// parser is to judge. Allocates for the elements only after their number has
// been found equal to what dtype and shape announce.
std::optional<TakenTensor> TakeTensor(const grpc::ByteBuffer& bytes, int field);

// The generated parser. INVALID_ARGUMENT: the bytes are no such message.
absl::Status ParseWhole(const grpc::ByteBuffer& bytes,
                        google::protobuf::MessageLite& message);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_TENSOR_MESSAGE_H_
