#ifndef SWITCHYARD_SERVICES_GATEWAY_SERVICE_H_
#define SWITCHYARD_SERVICES_GATEWAY_SERVICE_H_

#include "gateway/gateway.h"
#include "services/rpc/unary_handler.h"
#include "services/shared_memory/attach_handler.h"
#include "services/shared_memory/attached_regions.h"
#include "switchyard/v1/gateway.grpc.pb.h"

namespace switchyard {

// What carries tokens comes as bytes: see services/wire/call_buffer.h.
using GatewayBase = v1::Gateway::WithRawCallbackMethod_Forward<
    v1::Gateway::WithRawCallbackMethod_Backward<
        v1::Gateway::WithRawCallbackMethod_TrainStep<
            v1::Gateway::CallbackService>>>;

// The Gateway service: decodes, calls the gateway, encodes. Thread-safe.
class GatewayServiceImpl final : public GatewayBase {
 public:
  // `limits` are those of streams; tensors may lie in `regions`, which `attach`
  // fills. All must outlive the server that this is registered with.
  GatewayServiceImpl(Gateway& gateway, UnaryHandler& handler,
                     const ServerLimits& limits, AttachedRegions& regions,
                     AttachHandler& attach);

  grpc::ServerUnaryReactor* CreateLayer(
      grpc::CallbackServerContext* context,
      const v1::CreateLayerRequest* request,
      v1::CreateLayerResponse* response) override;
  grpc::ServerUnaryReactor* GetLayer(grpc::CallbackServerContext* context,
                                     const v1::GetLayerRequest* request,
                                     v1::GetLayerResponse* response) override;
  grpc::ServerUnaryReactor* ListLayers(
      grpc::CallbackServerContext* context,
      const v1::ListLayersRequest* request,
      v1::ListLayersResponse* response) override;
  grpc::ServerUnaryReactor* DeleteLayer(
      grpc::CallbackServerContext* context,
      const v1::DeleteLayerRequest* request,
      v1::DeleteLayerResponse* response) override;

  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Backward(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Step(grpc::CallbackServerContext* context,
                                 const v1::StepRequest* request,
                                 v1::StepResponse* response) override;
  grpc::ServerUnaryReactor* TrainStep(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ReadParameters(
      grpc::CallbackServerContext* context,
      const v1::ReadParametersRequest* request,
      v1::ReadParametersResponse* response) override;
  grpc::ServerUnaryReactor* WriteParameters(
      grpc::CallbackServerContext* context,
      const v1::WriteParametersRequest* request,
      v1::WriteParametersResponse* response) override;
  grpc::ServerUnaryReactor* ImportParameters(
      grpc::CallbackServerContext* context,
      const v1::ImportParametersRequest* request,
      v1::ImportParametersResponse* response) override;

  grpc::ServerUnaryReactor* GetPlacement(
      grpc::CallbackServerContext* context,
      const v1::GetPlacementRequest* request,
      v1::GetPlacementResponse* response) override;
  grpc::ServerUnaryReactor* GetLoad(grpc::CallbackServerContext* context,
                                    const v1::GetLoadRequest* request,
                                    v1::GetLoadResponse* response) override;

  grpc::ServerWriteReactor<v1::AttachMemoryResponse>* AttachMemory(
      grpc::CallbackServerContext* context,
      const v1::AttachMemoryRequest* request) override;

 private:
  Gateway& gateway_;
  UnaryHandler& handler_;
  AttachedRegions& regions_;
  AttachHandler& attach_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_GATEWAY_SERVICE_H_
