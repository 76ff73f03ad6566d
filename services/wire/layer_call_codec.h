// Calls that clients make on a layer, to and from
// proto/switchyard/v1/gateway.proto. Activations travel in
// the dtype given to Encode: the client's choice in a request, and in the
// response that of the request (`request.x().dtype()`).
//
// The large tensor of a call need not pass through a protobuf object
// (call_buffer.h): Decode takes it beside the message where it has been taken
// out already, EncodeRest leaves it out.
#ifndef SWITCHYARD_SERVICES_WIRE_LAYER_CALL_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_LAYER_CALL_CODEC_H_

#include <optional>

#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"
#include "switchyard/v1/gateway.pb.h"

namespace switchyard::wire {

absl::StatusOr<ForwardRequest> Decode(const v1::ForwardRequest& message,
                                      std::optional<Tensor> x = std::nullopt);
v1::ForwardRequest Encode(const ForwardRequest& request, v1::DType dtype);
v1::ForwardRequest EncodeRest(const ForwardRequest& request);

absl::StatusOr<ForwardResult> Decode(const v1::ForwardResponse& message,
                                     std::optional<Tensor> y = std::nullopt);
v1::ForwardResponse Encode(const ForwardResult& result, v1::DType dtype);
v1::ForwardResponse EncodeRest(const ForwardResult& result);

absl::StatusOr<BackwardRequest> Decode(
    const v1::BackwardRequest& message,
    std::optional<Tensor> grad_y = std::nullopt);
v1::BackwardRequest Encode(const BackwardRequest& request, v1::DType dtype);
v1::BackwardRequest EncodeRest(const BackwardRequest& request);

absl::StatusOr<BackwardResult> Decode(
    const v1::BackwardResponse& message,
    std::optional<Tensor> grad_x = std::nullopt);
v1::BackwardResponse Encode(const BackwardResult& result, v1::DType dtype);
v1::BackwardResponse EncodeRest(const BackwardResult& result);

StepRequest Decode(const v1::StepRequest& message);
v1::StepRequest Encode(const StepRequest& request);

StepResult Decode(const v1::StepResponse& message);
v1::StepResponse Encode(const StepResult& result);

// `dtype` is that of x; the target of a mean squared error travels as float32.
absl::StatusOr<TrainStepRequest> Decode(const v1::TrainStepRequest& message,
                                        std::optional<Tensor> x = std::nullopt);
v1::TrainStepRequest Encode(const TrainStepRequest& request, v1::DType dtype);
v1::TrainStepRequest EncodeRest(const TrainStepRequest& request);

absl::StatusOr<TrainStepResult> Decode(
    const v1::TrainStepResponse& message,
    std::optional<Tensor> grad_x = std::nullopt);
v1::TrainStepResponse Encode(const TrainStepResult& result, v1::DType dtype);
v1::TrainStepResponse EncodeRest(const TrainStepResult& result);

absl::StatusOr<ReadParametersRequest> Decode(
    const v1::ReadParametersRequest& message);
v1::ReadParametersRequest Encode(const ReadParametersRequest& request);

absl::StatusOr<ReadParametersResult> Decode(
    const v1::ReadParametersResponse& message);
v1::ReadParametersResponse Encode(const ReadParametersResult& result);

absl::StatusOr<WriteParametersRequest> Decode(
    const v1::WriteParametersRequest& message);
v1::WriteParametersRequest Encode(const WriteParametersRequest& request);

absl::StatusOr<ImportParametersRequest> Decode(
    const v1::ImportParametersRequest& message);
v1::ImportParametersRequest Encode(const ImportParametersRequest& request);
ImportParametersResult Decode(const v1::ImportParametersResponse& message);
v1::ImportParametersResponse Encode(const ImportParametersResult& result);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_LAYER_CALL_CODEC_H_
