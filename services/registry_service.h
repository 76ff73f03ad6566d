#ifndef SWITCHYARD_SERVICES_REGISTRY_SERVICE_H_
#define SWITCHYARD_SERVICES_REGISTRY_SERVICE_H_

#include <cstdint>
#include <memory>

#include "gateway/gateway.h"
#include "services/remote_expert_group.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/unary_handler.h"
#include "switchyard/v1/registry.grpc.pb.h"

namespace switchyard {

// The Registry service: workers that register become remote expert groups of
// the gateway. Thread-safe.
class RegistryServiceImpl final : public v1::Registry::CallbackService {
 public:
  // `calls` tracks the calls that the groups make, `memory` is theirs. Both
  // references must outlive the server that this is registered with.
  RegistryServiceImpl(Gateway& gateway, UnaryHandler& handler,
                      int64_t max_message_bytes,
                      std::shared_ptr<OutboundCalls> calls,
                      const WorkerMemory& memory = {});

  grpc::ServerUnaryReactor* RegisterWorker(
      grpc::CallbackServerContext* context,
      const v1::RegisterWorkerRequest* request,
      v1::RegisterWorkerResponse* response) override;
  grpc::ServerUnaryReactor* RenewLease(
      grpc::CallbackServerContext* context,
      const v1::RenewLeaseRequest* request,
      v1::RenewLeaseResponse* response) override;
  grpc::ServerUnaryReactor* DeregisterWorker(
      grpc::CallbackServerContext* context,
      const v1::DeregisterWorkerRequest* request,
      v1::DeregisterWorkerResponse* response) override;
  grpc::ServerUnaryReactor* ListWorkers(
      grpc::CallbackServerContext* context,
      const v1::ListWorkersRequest* request,
      v1::ListWorkersResponse* response) override;

 private:
  Gateway& gateway_;
  UnaryHandler& handler_;
  const int64_t max_message_bytes_;
  const std::shared_ptr<OutboundCalls> calls_;
  const WorkerMemory memory_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_REGISTRY_SERVICE_H_
