#ifndef SWITCHYARD_SERVICES_GATEWAY_SERVER_H_
#define SWITCHYARD_SERVICES_GATEWAY_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/gateway.h"
#include "services/server_limits.h"

namespace switchyard {

struct GatewayServerOptions {
  // host:port or unix:/path; port 0: chosen by the system.
  std::string listen_address = "127.0.0.1:0";
  // host:port of the Prometheus page; port 0: chosen by the system; empty: no
  // page.
  std::string metrics_address = "127.0.0.1:0";
  GatewayOptions gateway;
  // Of the region of shared memory with each worker that registers with a unix
  // socket; 0: none.
  int64_t worker_shared_memory_bytes = int64_t{256} << 20;
  ServerLimits limits;
};

// A gateway with its network: the Gateway, Registry, health and reflection
// services on one port, the metrics page on another, and the thread that
// expires leases. Destruction shuts down without grace. Thread-safe.
class GatewayServer {
 public:
  // INVALID_ARGUMENT for an address that does not parse, UNAVAILABLE for one
  // that cannot be bound.
  static absl::StatusOr<std::unique_ptr<GatewayServer>> Start(
      GatewayServerOptions options);
  ~GatewayServer();
  GatewayServer(const GatewayServer&) = delete;
  GatewayServer& operator=(const GatewayServer&) = delete;

  // As clients may dial it: host:port with the port that was chosen.
  const std::string& address() const;
  // Empty: no page.
  const std::string& metrics_address() const;

  // Answers NOT_SERVING to health checks, takes no new calls, waits at most
  // `grace` for those in progress and cancels the rest. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  class Impl;
  explicit GatewayServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_GATEWAY_SERVER_H_
