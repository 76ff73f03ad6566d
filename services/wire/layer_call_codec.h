// Calls that clients make on a layer, to and from
// proto/switchyard/v1/gateway.proto. Activations travel in
// the dtype given to Encode: the client's choice in a request, and in the
// response that of the request (`request.x().dtype()`).
#ifndef SWITCHYARD_SERVICES_WIRE_LAYER_CALL_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_LAYER_CALL_CODEC_H_

#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"
#include "switchyard/v1/gateway.pb.h"

namespace switchyard::wire {

absl::StatusOr<ForwardRequest> Decode(const v1::ForwardRequest& message);
v1::ForwardRequest Encode(const ForwardRequest& request, v1::DType dtype);

absl::StatusOr<ForwardResult> Decode(const v1::ForwardResponse& message);
v1::ForwardResponse Encode(const ForwardResult& result, v1::DType dtype);

absl::StatusOr<BackwardRequest> Decode(const v1::BackwardRequest& message);
v1::BackwardRequest Encode(const BackwardRequest& request, v1::DType dtype);

absl::StatusOr<BackwardResult> Decode(const v1::BackwardResponse& message);
v1::BackwardResponse Encode(const BackwardResult& result, v1::DType dtype);

StepRequest Decode(const v1::StepRequest& message);
v1::StepRequest Encode(const StepRequest& request);

StepResult Decode(const v1::StepResponse& message);
v1::StepResponse Encode(const StepResult& result);

// `dtype` is that of x; the target of a mean squared error travels as float32.
absl::StatusOr<TrainStepRequest> Decode(const v1::TrainStepRequest& message);
v1::TrainStepRequest Encode(const TrainStepRequest& request, v1::DType dtype);

absl::StatusOr<TrainStepResult> Decode(const v1::TrainStepResponse& message);
v1::TrainStepResponse Encode(const TrainStepResult& result, v1::DType dtype);

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
