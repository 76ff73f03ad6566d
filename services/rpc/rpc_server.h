#ifndef SWITCHYARD_SERVICES_RPC_RPC_SERVER_H_
#define SWITCHYARD_SERVICES_RPC_RPC_SERVER_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "services/server_limits.h"

namespace switchyard {

struct NamedService {
  // "switchyard.v1.Gateway": what health checks ask for.
  std::string name;
  // Must outlive the server.
  grpc::Service* service = nullptr;
};

// A gRPC server with health checks (grpc.health.v1; "" and each service by
// name) and reflection, without TLS. Destruction shuts down without grace.
// Thread-safe.
class RpcServer {
 public:
  // INVALID_ARGUMENT for an address that does not parse, UNAVAILABLE for one
  // that cannot be bound or is in use.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const std::string& listen_address, const ServerLimits& limits,
      const std::vector<NamedService>& services);
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  // As clients may dial it, with the port that was chosen.
  const std::string& address() const { return address_; }

  // Health checks answer NOT_SERVING from now on.
  void StopServing();
  // Takes no new calls, waits at most `grace` for those in progress, cancels
  // the rest and waits for their handlers to return. Idempotent.
  void Shutdown(absl::Duration grace) ABSL_LOCKS_EXCLUDED(shutdown_mutex_);

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, std::string address);

  const std::unique_ptr<grpc::Server> server_;
  const std::string address_;
  // Held through the shutdown, so that a second caller returns after it too.
  Mutex shutdown_mutex_;
  bool is_shut_down_ ABSL_GUARDED_BY(shutdown_mutex_) = false;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_RPC_SERVER_H_
