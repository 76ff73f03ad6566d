#ifndef SWITCHYARD_BENCH_END_TO_END_BENCH_CLUSTER_H_
#define SWITCHYARD_BENCH_END_TO_END_BENCH_CLUSTER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cli/local_cluster.h"
#include "cli/process/event_waiter.h"
#include "client/gateway_client.h"
#include "common/tensor/tensor.h"

namespace switchyard::bench {

// A gateway and workers as processes on this host, and a client of them: the
// service as its users have it. Ends them on destruction.
class BenchCluster {
 public:
  struct Options {
    int num_workers = 2;
    // Workers exchange tokens among themselves.
    bool form_group = false;
    // Gateway and workers serve on unix sockets; otherwise on loopback's ports.
    bool unix_sockets = false;
    // Over those sockets, also with the client.
    bool shared_memory = false;
  };
  static absl::StatusOr<std::unique_ptr<BenchCluster>> Start(
      const Options& options);
  static absl::StatusOr<std::unique_ptr<BenchCluster>> Start() {
    return Start(Options());
  }
  ~BenchCluster();

  GatewayClient& client() { return *client_; }
  const std::string& gateway_address() const {
    return cluster_->gateway_address();
  }
  pid_t worker_pid(int idx) const {
    return cluster_->members()[static_cast<size_t>(idx) + 1].process.pid();
  }

 private:
  BenchCluster() = default;

  std::unique_ptr<EventWaiter> events_;
  std::unique_ptr<SocketFolder> sockets_;
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<GatewayClient> client_;
};

// [tokens, hidden_size], magnitudes up to 1/2, the same every time.
Tensor BenchTokens(int64_t num_tokens, int64_t hidden_size);

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_END_TO_END_BENCH_CLUSTER_H_
