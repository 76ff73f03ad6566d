// Tensors to and from proto/switchyard/v1/tensor.proto. In this folder Decode
// checks what came from outside and says INVALID_ARGUMENT, naming the field,
// what came and what was expected; Encode cannot fail. Neither keeps anything:
// all functions are thread-safe.
#ifndef SWITCHYARD_SERVICES_WIRE_TENSOR_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_TENSOR_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/tensor/tensor.h"
#include "switchyard/v1/tensor.pb.h"

namespace switchyard::wire {

// The dtype on the wire is the message's own (`message.dtype()`); the tensor is
// float32 always. Allocates only after the number of bytes received has been
// found equal to what dtype and shape announce. `field` is the name of the
// tensor in errors.
absl::StatusOr<Tensor> DecodeTensor(const v1::Tensor& message,
                                    absl::string_view field);

// INVALID_ARGUMENT for more dimensions than anyone uses.
absl::StatusOr<Shape> DecodeShape(
    const google::protobuf::RepeatedField<int64_t>& shape,
    absl::string_view field);

// `taken` where there is one, the message's tensor otherwise.
absl::StatusOr<Tensor> TakenOrDecoded(std::optional<Tensor> taken,
                                      const v1::Tensor& message,
                                      absl::string_view field);

// `dtype` must be DTYPE_FLOAT32 or DTYPE_BFLOAT16.
v1::Tensor EncodeTensor(const Tensor& tensor, v1::DType dtype);

// Checks beyond the values that the slice lies within the parameter's shape.
absl::StatusOr<ParameterSlice> DecodeSlice(const v1::ParameterSlice& message,
                                           absl::string_view field);
v1::ParameterSlice EncodeSlice(const ParameterSlice& slice);

absl::StatusOr<ParameterKind> DecodeKind(v1::ParameterKind kind);
v1::ParameterKind EncodeKind(ParameterKind kind);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_TENSOR_CODEC_H_
