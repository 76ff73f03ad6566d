#include "services/expert_worker_service.h"

#include <vector>

#include "common/base/status_macros.h"
#include "services/wire/call_buffer.h"
#include "services/wire/expert_codec.h"

namespace switchyard {

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

grpc::ServerWriteReactor<v1::AttachMemoryResponse>*
ExpertWorkerServiceImpl::AttachMemory(grpc::CallbackServerContext* /*context*/,
                                      const v1::AttachMemoryRequest* request) {
  return attach_.Handle(*request);
}

}  // namespace switchyard
