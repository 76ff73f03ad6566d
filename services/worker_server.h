#ifndef SWITCHYARD_SERVICES_WORKER_SERVER_H_
#define SWITCHYARD_SERVICES_WORKER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "expert_worker/worker.h"
#include "services/server_limits.h"

namespace switchyard {

struct WorkerServerOptions {
  // host:port or unix:/path; port 0: chosen by the system.
  std::string listen_address = "127.0.0.1:0";
  // At which the gateway dials this worker; empty: the address listened on.
  std::string advertise_address;
  // As in GatewayServerOptions.
  std::string metrics_address = "127.0.0.1:0";
  // The gateway to register with; empty: none (tests).
  std::string gateway_address;
  // Workers of the same group exchange tokens among themselves; empty: none.
  std::string group;
  // Name or IP address of this machine where they find this one, at a port
  // chosen by the system. Between them nothing is encrypted or authenticated.
  std::string group_listen_host = "127.0.0.1";
  WorkerOptions worker;
  ServerLimits limits;
};

// A worker with its network: the ExpertWorker, health and reflection services
// on one port, the metrics page on another, and the thread that registers with
// the gateway and keeps the lease, for as long as it takes. Destruction shuts
// down without grace. Thread-safe.
class WorkerServer {
 public:
  // Errors as GatewayServer::Start. Does not wait for the gateway.
  static absl::StatusOr<std::unique_ptr<WorkerServer>> Start(
      WorkerServerOptions options);
  ~WorkerServer();
  WorkerServer(const WorkerServer&) = delete;
  WorkerServer& operator=(const WorkerServer&) = delete;

  const std::string& address() const;
  const std::string& metrics_address() const;
  // Whether it holds a lease now.
  bool registered() const;

  // Deregisters, then as GatewayServer::Shutdown. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  class Impl;
  explicit WorkerServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_WORKER_SERVER_H_
