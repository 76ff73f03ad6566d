// Calls between gateway and expert workers, to and from
// proto/switchyard/v1/worker.proto. Answers travel as float32, and requests as
// bfloat16 only where they have no other values, as those of a client that sent
// bfloat16: the wire changes no bit of a result. Tensors beside their messages:
// as in layer_call_codec.h.
#ifndef SWITCHYARD_SERVICES_WIRE_EXPERT_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_EXPERT_CODEC_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "switchyard/v1/worker.pb.h"

namespace switchyard::wire {

absl::StatusOr<LoadExpertsRequest> Decode(
    const v1::LoadExpertsRequest& message);
v1::LoadExpertsRequest Encode(const LoadExpertsRequest& request);

absl::StatusOr<ReadExpertsRequest> Decode(
    const v1::ReadExpertsRequest& message);
v1::ReadExpertsRequest Encode(const ReadExpertsRequest& request);

absl::StatusOr<std::vector<ParameterSlice>> Decode(
    const v1::ReadExpertsResponse& message);
v1::ReadExpertsResponse Encode(const std::vector<ParameterSlice>& slices);

absl::StatusOr<WriteExpertsRequest> Decode(
    const v1::WriteExpertsRequest& message);
v1::WriteExpertsRequest Encode(const WriteExpertsRequest& request);

absl::StatusOr<ImportExpertsRequest> Decode(
    const v1::ImportExpertsRequest& message);
v1::ImportExpertsRequest Encode(const ImportExpertsRequest& request);

MicrobatchKey Decode(const v1::MicrobatchKey& message);
v1::DropMicrobatchRequest EncodeDropMicrobatch(const std::string& layer,
                                               const MicrobatchKey& key);

absl::StatusOr<ExpertForwardRequest> Decode(
    const v1::ExpertForwardRequest& message,
    std::optional<Tensor> x = std::nullopt);
v1::ExpertForwardRequest Encode(const ExpertForwardRequest& request,
                                v1::DType dtype = v1::DTYPE_FLOAT32);
v1::ExpertForwardRequest EncodeRest(const ExpertForwardRequest& request);

absl::StatusOr<ExpertForwardResult> Decode(
    const v1::ExpertForwardResponse& message,
    std::optional<Tensor> y = std::nullopt);
v1::ExpertForwardResponse Encode(const ExpertForwardResult& result,
                                 v1::DType dtype = v1::DTYPE_FLOAT32);
v1::ExpertForwardResponse EncodeRest(const ExpertForwardResult& result);

absl::StatusOr<ExpertBackwardRequest> Decode(
    const v1::ExpertBackwardRequest& message,
    std::optional<Tensor> grad_y = std::nullopt);
v1::ExpertBackwardRequest Encode(const ExpertBackwardRequest& request,
                                 v1::DType dtype = v1::DTYPE_FLOAT32);
v1::ExpertBackwardRequest EncodeRest(const ExpertBackwardRequest& request);

absl::StatusOr<ExpertBackwardResult> Decode(
    const v1::ExpertBackwardResponse& message,
    std::optional<Tensor> grad_x = std::nullopt);
v1::ExpertBackwardResponse Encode(const ExpertBackwardResult& result,
                                  v1::DType dtype = v1::DTYPE_FLOAT32);
v1::ExpertBackwardResponse EncodeRest(const ExpertBackwardResult& result);

PrepareStepResult Decode(const v1::PrepareStepResponse& message);
v1::PrepareStepResponse Encode(const PrepareStepResult& result);

v1::GetStatusResponse Encode(const WorkerReport& report);

// The three step messages name a step with the same three fields.
template <typename Message>
StepKey DecodeStepKey(const Message& message) {
  StepKey key;
  key.layer = message.layer();
  key.generation = message.generation();
  key.step = message.step();
  return key;
}

template <typename Message>
Message EncodeStepKey(const StepKey& key) {
  Message message;
  message.set_layer(key.layer);
  message.set_generation(key.generation);
  message.set_step(key.step);
  return message;
}

JoinGroupRequest Decode(const v1::JoinGroupRequest& message);
v1::JoinGroupRequest Encode(const JoinGroupRequest& request);
JoinGroupResult Decode(const v1::JoinGroupResponse& message);
v1::JoinGroupResponse Encode(const JoinGroupResult& result);
ConnectGroupRequest Decode(const v1::ConnectGroupRequest& message);
v1::ConnectGroupRequest Encode(const ConnectGroupRequest& request);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_EXPERT_CODEC_H_
