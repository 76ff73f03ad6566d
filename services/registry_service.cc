#include "services/registry_service.h"

#include <utility>

#include "common/base/status_macros.h"
#include "services/rpc/address.h"
#include "services/wire/status_codec.h"

namespace switchyard {

RegistryServiceImpl::RegistryServiceImpl(Gateway& gateway,
                                         UnaryHandler& handler,
                                         int64_t max_message_bytes,
                                         std::shared_ptr<OutboundCalls> calls,
                                         const WorkerMemory& memory)
    : gateway_(gateway),
      handler_(handler),
      max_message_bytes_(max_message_bytes),
      calls_(std::move(calls)),
      memory_(memory) {}

grpc::ServerUnaryReactor* RegistryServiceImpl::RegisterWorker(
    grpc::CallbackServerContext* context,
    const v1::RegisterWorkerRequest* request,
    v1::RegisterWorkerResponse* response) {
  return handler_.Handle(
      context, *request, "RegisterWorker",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        // Before gRPC sees it, which would take many a string for an address.
        SWITCHYARD_RETURN_IF_ERROR(
            CheckDialAddress(request->address(), "address"));
        WorkerRegistration worker;
        worker.worker_id = request->worker_id();
        worker.address = request->address();
        worker.incarnation = request->incarnation();
        worker.metrics_address = request->metrics_address();
        worker.group = request->group();
        SWITCHYARD_ASSIGN_OR_RETURN(
            const uint64_t generation,
            gateway_.RegisterWorker(worker,
                                    std::make_shared<RemoteExpertGroup>(
                                        worker.worker_id, worker.address,
                                        max_message_bytes_, calls_, memory_)));
        response->set_generation(generation);
        response->set_lease_duration_ms(
            absl::ToInt64Milliseconds(gateway_.lease_duration()));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* RegistryServiceImpl::RenewLease(
    grpc::CallbackServerContext* context, const v1::RenewLeaseRequest* request,
    v1::RenewLeaseResponse* response) {
  return handler_.Handle(
      context, *request, "RenewLease",
      [this, request, response](const CallContext& /*call*/) -> absl::Status {
        response->set_lease_duration_ms(
            absl::ToInt64Milliseconds(gateway_.lease_duration()));
        return gateway_.RenewLease(request->worker_id(),
                                   request->incarnation());
      });
}

grpc::ServerUnaryReactor* RegistryServiceImpl::DeregisterWorker(
    grpc::CallbackServerContext* context,
    const v1::DeregisterWorkerRequest* request,
    v1::DeregisterWorkerResponse* /*response*/) {
  return handler_.Handle(
      context, *request, "DeregisterWorker",
      [this, request](const CallContext& /*call*/) -> absl::Status {
        return gateway_.DeregisterWorker(request->worker_id(),
                                         request->incarnation());
      });
}

grpc::ServerUnaryReactor* RegistryServiceImpl::ListWorkers(
    grpc::CallbackServerContext* context, const v1::ListWorkersRequest* request,
    v1::ListWorkersResponse* response) {
  return handler_.Handle(
      context, *request, "ListWorkers",
      [this, response](const CallContext& /*call*/) -> absl::Status {
        *response = wire::Encode(gateway_.ListWorkers());
        return absl::OkStatus();
      });
}

}  // namespace switchyard
