#include "bench/end_to_end/bench_cluster.h"

#include <utility>

#include "common/base/status_macros.h"

namespace switchyard::bench {

absl::StatusOr<std::unique_ptr<BenchCluster>> BenchCluster::Start(
    const Options& bench_options) {
  auto cluster = std::unique_ptr<BenchCluster>(new BenchCluster());
  SWITCHYARD_ASSIGN_OR_RETURN(cluster->events_, EventWaiter::Create());
  LocalClusterOptions options;
  options.num_workers = bench_options.num_workers;
  options.form_group = bench_options.form_group;
  options.unix_sockets = bench_options.unix_sockets;
  options.shared_memory = bench_options.shared_memory;
  if (options.unix_sockets) {
    SWITCHYARD_ASSIGN_OR_RETURN(cluster->sockets_, SocketFolder::Create());
    options.gateway_listen = cluster->sockets_->AddressOf("gateway");
  }
  SWITCHYARD_ASSIGN_OR_RETURN(options.gateway_binary,
                              SiblingBinary("switchyard-gateway"));
  SWITCHYARD_ASSIGN_OR_RETURN(options.worker_binary,
                              SiblingBinary("switchyard-worker"));
  SWITCHYARD_ASSIGN_OR_RETURN(LocalCluster started,
                              LocalCluster::Start(options, *cluster->events_));
  cluster->cluster_ = std::make_unique<LocalCluster>(std::move(started));
  GatewayClientOptions client_options;
  if (!options.shared_memory) client_options.shared_memory_bytes = 0;
  cluster->client_ = std::make_unique<GatewayClient>(
      cluster->cluster_->gateway_address(), client_options);
  return cluster;
}

BenchCluster::~BenchCluster() {
  if (cluster_ != nullptr) cluster_->Stop(*events_);
}

Tensor BenchTokens(int64_t num_tokens, int64_t hidden_size) {
  Tensor tokens = Tensor::Uninitialized({num_tokens, hidden_size});
  uint32_t state = 1;
  for (int64_t i = 0; i < tokens.num_elements(); ++i) {
    // Numerical Recipes' linear congruential generator: any noise does.
    state = state * 1664525u + 1013904223u;
    tokens.data()[i] = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  return tokens;
}

}  // namespace switchyard::bench
