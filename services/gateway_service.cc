#include "services/gateway_service.h"

#include <vector>

#include "common/base/status_macros.h"
#include "services/gateway_stream.h"
#include "services/wire/call_buffer.h"
#include "services/wire/layer_call_codec.h"
#include "services/wire/layer_codec.h"
#include "services/wire/status_codec.h"

namespace switchyard {

// The generated class for a stream of bytes does not go with CallbackService:
// it would override a method by one of another type. So the handler that it
// would set is set here.
GatewayServiceImpl::GatewayServiceImpl(Gateway& gateway, UnaryHandler& handler,
                                       const ServerLimits& limits,
                                       AttachedRegions& regions,
                                       AttachHandler& attach)
    : gateway_(gateway), handler_(handler), regions_(regions), attach_(attach) {
  const auto* const stream = v1::StreamRequest::descriptor()
                                 ->file()
                                 ->FindServiceByName("Gateway")
                                 ->FindMethodByName("Stream");
  MarkMethodRawCallback(
      stream->index(),
      new grpc::internal::CallbackBidiHandler<grpc::ByteBuffer,
                                              grpc::ByteBuffer>(
          [this, &limits](grpc::CallbackServerContext* context) {
            return StartGatewayStream(gateway_, handler_, limits, *context);
          }));
}

grpc::ServerUnaryReactor* GatewayServiceImpl::CreateLayer(
    grpc::CallbackServerContext* context, const v1::CreateLayerRequest* request,
    v1::CreateLayerResponse* response) {
  return handler_.Handle(
      context, *request, "CreateLayer",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const LayerSpec spec,
                                    wire::Decode(request->spec()));
        SWITCHYARD_ASSIGN_OR_RETURN(
            const LayerStatus layer,
            gateway_.CreateLayer(spec, call, request->awaits_import()));
        *response->mutable_layer() = wire::Encode(layer);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::GetLayer(
    grpc::CallbackServerContext* context, const v1::GetLayerRequest* request,
    v1::GetLayerResponse* response) {
  return handler_.Handle(
      context, *request, "GetLayer",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const LayerStatus layer,
                                    gateway_.GetLayer(request->layer()));
        *response->mutable_layer() = wire::Encode(layer);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::ListLayers(
    grpc::CallbackServerContext* context, const v1::ListLayersRequest* request,
    v1::ListLayersResponse* response) {
  return handler_.Handle(
      context, *request, "ListLayers",
      [this, response](const CallContext& /*call*/) -> absl::Status {
        for (const LayerStatus& layer : gateway_.ListLayers()) {
          *response->add_layers() = wire::Encode(layer);
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::DeleteLayer(
    grpc::CallbackServerContext* context, const v1::DeleteLayerRequest* request,
    v1::DeleteLayerResponse* /*response*/) {
  return handler_.Handle(
      context, *request, "DeleteLayer",
      [this, request](const CallContext& call) -> absl::Status {
        return gateway_.DeleteLayer(request->layer(), call);
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::Forward(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return handler_.Handle(
      context, static_cast<int64_t>(request->Length()), "Forward",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            wire::Received<ForwardRequest> received,
            wire::DecodeBuffer<ForwardRequest>(*request, &regions_));
        received.value.y_place = received.answer.memory;
        SWITCHYARD_ASSIGN_OR_RETURN(const ForwardResult result,
                                    gateway_.Forward(received.value, call));
        *response = wire::EncodeAnswer(result, received, received.dtype);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::Backward(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return handler_.Handle(
      context, static_cast<int64_t>(request->Length()), "Backward",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            const wire::Received<BackwardRequest> received,
            wire::DecodeBuffer<BackwardRequest>(*request, &regions_));
        SWITCHYARD_ASSIGN_OR_RETURN(const BackwardResult result,
                                    gateway_.Backward(received.value, call));
        *response = wire::EncodeAnswer(result, received, received.dtype);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::Step(
    grpc::CallbackServerContext* context, const v1::StepRequest* request,
    v1::StepResponse* response) {
  return handler_.Handle(
      context, *request, "Step",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            const StepResult result,
            gateway_.Step(wire::Decode(*request), call));
        *response = wire::Encode(result);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::TrainStep(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  return handler_.Handle(
      context, static_cast<int64_t>(request->Length()), "TrainStep",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(
            const wire::Received<TrainStepRequest> received,
            wire::DecodeBuffer<TrainStepRequest>(*request, &regions_));
        SWITCHYARD_ASSIGN_OR_RETURN(const TrainStepResult result,
                                    gateway_.TrainStep(received.value, call));
        *response = wire::EncodeAnswer(result, received, received.dtype);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::ReadParameters(
    grpc::CallbackServerContext* context,
    const v1::ReadParametersRequest* request,
    v1::ReadParametersResponse* response) {
  return handler_.Handle(
      context, *request, "ReadParameters",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const ReadParametersRequest decoded,
                                    wire::Decode(*request));
        SWITCHYARD_ASSIGN_OR_RETURN(const ReadParametersResult result,
                                    gateway_.ReadParameters(decoded, call));
        *response = wire::Encode(result);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::WriteParameters(
    grpc::CallbackServerContext* context,
    const v1::WriteParametersRequest* request,
    v1::WriteParametersResponse* /*response*/) {
  return handler_.Handle(
      context, *request, "WriteParameters",
      [this, request](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const WriteParametersRequest decoded,
                                    wire::Decode(*request));
        return gateway_.WriteParameters(decoded, call);
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::ImportParameters(
    grpc::CallbackServerContext* context,
    const v1::ImportParametersRequest* request,
    v1::ImportParametersResponse* response) {
  return handler_.Handle(
      context, *request, "ImportParameters",
      [this, request, response](const CallContext& call) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const ImportParametersRequest decoded,
                                    wire::Decode(*request));
        SWITCHYARD_ASSIGN_OR_RETURN(const ImportParametersResult result,
                                    gateway_.ImportParameters(decoded, call));
        *response = wire::Encode(result);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::GetPlacement(
    grpc::CallbackServerContext* context,
    const v1::GetPlacementRequest* request,
    v1::GetPlacementResponse* response) {
  return handler_.Handle(
      context, *request, "GetPlacement",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const PlacementMap placement,
                                    gateway_.GetPlacement(request->layer()));
        *response->mutable_placement() = wire::Encode(placement);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GatewayServiceImpl::GetLoad(
    grpc::CallbackServerContext* context, const v1::GetLoadRequest* request,
    v1::GetLoadResponse* response) {
  return handler_.Handle(
      context, *request, "GetLoad",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<LayerLoad> layers,
                                    gateway_.GetLoad(request->layer()));
        *response = wire::Encode(layers);
        return absl::OkStatus();
      });
}

grpc::ServerWriteReactor<v1::AttachMemoryResponse>*
GatewayServiceImpl::AttachMemory(grpc::CallbackServerContext* /*context*/,
                                 const v1::AttachMemoryRequest* request) {
  return attach_.Handle(*request);
}

}  // namespace switchyard
