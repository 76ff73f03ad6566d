#include "services/expert_worker_service.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "services/wire/call_buffer.h"
#include "services/wire/expert_codec.h"

namespace switchyard {
namespace {

// A call that one member cannot read leaves the others waiting for it:
// UNAVAILABLE makes the gateway break the group.
template <typename Request>
absl::Status CheckGroupCall(
    const absl::StatusOr<wire::Received<Request>>& received) {
  if (!received.ok()) {
    return absl::UnavailableError(absl::StrCat(
        "call of a group not understood: ", received.status().message()));
  }
  if (received->value.group.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError("group: not set, expected a GroupCall");
}

}  // namespace

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::LoadExperts(
    grpc::CallbackServerContext* context, const v1::LoadExpertsRequest* request,
    v1::LoadExpertsResponse* /*response*/) {
  return control_.Handle(
      context, *request, "LoadExperts",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const LoadExpertsRequest decoded,
                                    wire::Decode(*request));
        return worker_.LoadExperts(decoded);
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::UnloadExperts(
    grpc::CallbackServerContext* context,
    const v1::UnloadExpertsRequest* request,
    v1::UnloadExpertsResponse* /*response*/) {
  return control_.Handle(
      context, *request, "UnloadExperts",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        return worker_.UnloadExperts(request->layer());
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::ReadExperts(
    grpc::CallbackServerContext* context, const v1::ReadExpertsRequest* request,
    v1::ReadExpertsResponse* response) {
  return bulk_.Handle(
      context, *request, "ReadExperts",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const ReadExpertsRequest decoded,
                                    wire::Decode(*request));
        SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<ParameterSlice> slices,
                                    worker_.ReadExperts(decoded));
        *response = wire::Encode(slices);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::WriteExperts(
    grpc::CallbackServerContext* context,
    const v1::WriteExpertsRequest* request,
    v1::WriteExpertsResponse* /*response*/) {
  return bulk_.Handle(
      context, *request, "WriteExperts",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const WriteExpertsRequest decoded,
                                    wire::Decode(*request));
        return worker_.WriteExperts(decoded);
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::ImportExperts(
    grpc::CallbackServerContext* context,
    const v1::ImportExpertsRequest* request,
    v1::ImportExpertsResponse* /*response*/) {
  return bulk_.Handle(
      context, *request, "ImportExperts",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const ImportExpertsRequest decoded,
                                    wire::Decode(*request));
        return worker_.ImportExperts(decoded);
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::Forward(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return bulk_.Handle(
      context, static_cast<int64_t>(request->Length()), "Forward",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            wire::Received<ExpertForwardRequest> received,
            wire::DecodeBuffer<ExpertForwardRequest>(*request, &regions_));
        received.value.y_place = received.answer.memory;
        SWITCHYARD_ASSIGN_OR_RETURN(const ExpertForwardResult result,
                                    worker_.Forward(received.value, call));
        *response = wire::EncodeAnswer(result, received, v1::DTYPE_FLOAT32);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::Backward(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return bulk_.Handle(
      context, static_cast<int64_t>(request->Length()), "Backward",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            const wire::Received<ExpertBackwardRequest> received,
            wire::DecodeBuffer<ExpertBackwardRequest>(*request, &regions_));
        SWITCHYARD_ASSIGN_OR_RETURN(const ExpertBackwardResult result,
                                    worker_.Backward(received.value, call));
        *response = wire::EncodeAnswer(result, received, v1::DTYPE_FLOAT32);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::DropMicrobatch(
    grpc::CallbackServerContext* context,
    const v1::DropMicrobatchRequest* request,
    v1::DropMicrobatchResponse* /*response*/) {
  return control_.Handle(
      context, *request, "DropMicrobatch",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        return worker_.DropMicrobatch(request->layer(),
                                      wire::Decode(request->key()));
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::PrepareStep(
    grpc::CallbackServerContext* context, const v1::PrepareStepRequest* request,
    v1::PrepareStepResponse* response) {
  return control_.Handle(
      context, *request, "PrepareStep",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            const PrepareStepResult result,
            worker_.PrepareStep(wire::DecodeStepKey(*request)));
        *response = wire::Encode(result);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::CommitStep(
    grpc::CallbackServerContext* context, const v1::CommitStepRequest* request,
    v1::CommitStepResponse* /*response*/) {
  return control_.Handle(
      context, *request, "CommitStep",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        return worker_.CommitStep(wire::DecodeStepKey(*request),
                                  request->learning_rate());
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::AbortStep(
    grpc::CallbackServerContext* context, const v1::AbortStepRequest* request,
    v1::AbortStepResponse* /*response*/) {
  return control_.Handle(
      context, *request, "AbortStep",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        return worker_.AbortStep(wire::DecodeStepKey(*request));
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::GetStatus(
    grpc::CallbackServerContext* context, const v1::GetStatusRequest* request,
    v1::GetStatusResponse* response) {
  return control_.Handle(
      context, *request, "GetStatus",
      [this, response](const CallContext& /*call*/) -> absl::Status {
        *response = wire::Encode(worker_.GetStatus());
        return absl::OkStatus();
      });
}

absl::StatusOr<GroupMember*> ExpertWorkerServiceImpl::Member() const {
  if (member_ != nullptr) return member_;
  return absl::UnimplementedError(absl::StrCat(
      "worker ", worker_.worker_id(), " takes part in no group: see --group"));
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::JoinGroup(
    grpc::CallbackServerContext* context, const v1::JoinGroupRequest* request,
    v1::JoinGroupResponse* response) {
  return control_.Handle(
      context, *request, "JoinGroup",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(GroupMember* const member, Member());
        SWITCHYARD_ASSIGN_OR_RETURN(const JoinGroupResult result,
                                    member->Join(wire::Decode(*request)));
        *response = wire::Encode(result);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::ConnectGroup(
    grpc::CallbackServerContext* context,
    const v1::ConnectGroupRequest* request,
    v1::ConnectGroupResponse* /*response*/) {
  // It waits for other members, and so it is nothing for the control threads.
  return group_.Handle(
      context, *request, "ConnectGroup",
      [this, request](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(GroupMember* const member, Member());
        return member->Connect(wire::Decode(*request), call);
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::LeaveGroup(
    grpc::CallbackServerContext* context, const v1::LeaveGroupRequest* request,
    v1::LeaveGroupResponse* /*response*/) {
  return control_.Handle(
      context, *request, "LeaveGroup",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(GroupMember* const member, Member());
        return member->Leave(request->group_id());
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::GroupForward(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return group_.Handle(
      context, static_cast<int64_t>(request->Length()), "GroupForward",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(GroupMember* const member, Member());
        auto received =
            wire::DecodeBuffer<ExpertForwardRequest>(*request, &regions_);
        SWITCHYARD_RETURN_IF_ERROR(CheckGroupCall(received));
        SWITCHYARD_ASSIGN_OR_RETURN(const ExpertForwardResult result,
                                    member->Forward(received->value, call));
        *response = wire::EncodeAnswer(result, *received, v1::DTYPE_FLOAT32);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::GroupBackward(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return group_.Handle(
      context, static_cast<int64_t>(request->Length()), "GroupBackward",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(GroupMember* const member, Member());
        auto received =
            wire::DecodeBuffer<ExpertBackwardRequest>(*request, &regions_);
        SWITCHYARD_RETURN_IF_ERROR(CheckGroupCall(received));
        SWITCHYARD_ASSIGN_OR_RETURN(const ExpertBackwardResult result,
                                    member->Backward(received->value, call));
        *response = wire::EncodeAnswer(result, *received, v1::DTYPE_FLOAT32);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ExpertWorkerServiceImpl::CancelGroupCall(
    grpc::CallbackServerContext* context,
    const v1::CancelGroupCallRequest* request,
    v1::CancelGroupCallResponse* /*response*/) {
  return control_.Handle(
      context, *request, "CancelGroupCall",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(GroupMember* const member, Member());
        return member->Cancel(request->group_id(), request->sequence());
      });
}

grpc::ServerWriteReactor<v1::AttachMemoryResponse>*
ExpertWorkerServiceImpl::AttachMemory(grpc::CallbackServerContext* /*context*/,
                                      const v1::AttachMemoryRequest* request) {
  return attach_.Handle(*request);
}

}  // namespace switchyard
