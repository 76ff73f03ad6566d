// The service with experts that do nothing, gateway and worker as processes on
// one host, against bare gRPC that carries the same bytes through as many
// processes: what gate, plan, codec, queues and threads cost.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/end_to_end/bench_cluster.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "bench/wire/echo_chain.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 1024;

LayerSpec Layer() {
  LayerSpec spec;
  spec.name = "bench";
  spec.hidden_size = kHidden;
  spec.num_experts = 8;
  spec.expert = IdentityExpertSpec();
  spec.gate.k = 2;
  spec.capacity.drop_tokens = false;
  return spec;
}

enum class Transport { kTcp, kUnixSockets, kSharedMemory };

struct Comparison {
  std::string name;
  int64_t num_tokens = 1;
  Transport transport = Transport::kTcp;
  // Absent: told for information.
  std::optional<double> target;
  // Calls at the same time, on one connection.
  int num_callers = 1;
};

// One call of each caller.
absl::Status CallAtOnce(int num_callers,
                        const std::function<absl::Status()>& call) {
  std::vector<absl::Status> statuses(static_cast<size_t>(num_callers));
  std::vector<std::thread> callers;
  for (size_t i = 1; i < statuses.size(); ++i) {
    callers.emplace_back([&, i] { statuses[i] = call(); });
  }
  statuses[0] = call();
  for (std::thread& caller : callers) caller.join();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Compare(const Comparison& comparison,
                     const AlternateOptions& options) {
  const bool unix_sockets = comparison.transport != Transport::kTcp;
  const bool shared_memory = comparison.transport == Transport::kSharedMemory;
  SWITCHYARD_ASSIGN_OR_RETURN(const auto echo, EchoChain::Start(unix_sockets));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const auto cluster,
      BenchCluster::Start({.num_workers = 1,
                           .unix_sockets = unix_sockets,
                           .shared_memory = shared_memory}));
  GatewayClient& client = cluster->client();
  SWITCHYARD_RETURN_IF_ERROR(client.CreateLayer(Layer()).status());
  ForwardRequest request;
  request.layer = Layer().name;
  request.x = BenchTokens(comparison.num_tokens, kHidden);
  if (shared_memory) {
    SWITCHYARD_RETURN_IF_ERROR(client.AwaitSharedMemory());
    Tensor shared = client.AllocateTensor(request.x.shape());
    std::copy_n(request.x.data(), request.x.num_elements(), shared.data());
    request.x = std::move(shared);
  }
  const int64_t num_bytes = request.x.size_bytes();
  const auto all_call = [&](const std::function<absl::Status()>& call) {
    return CallAtOnce(comparison.num_callers, call);
  };
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<Samples> samples,
      Alternate(
          {{"echo",
            [&] { return all_call([&] { return echo->Call(num_bytes); }); }},
           {"service",
            [&] {
              return all_call([&] { return client.Forward(request).status(); });
            }}},
          options));
  Note("%s: echo %.0f us, service %.0f us", comparison.name.c_str(),
       Median(samples[0]) * 1e6, Median(samples[1]) * 1e6);
  Report({.name = comparison.name,
          .value = SpeedRatio(samples[1], samples[0]),
          .target = comparison.target});
  return absl::OkStatus();
}

Benchmark Against(const Comparison& comparison) {
  return {comparison.name, [comparison](const AlternateOptions& options) {
            return Compare(comparison, options);
          }};
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using switchyard::bench::Against;
  using switchyard::bench::Transport;
  // A token alone may cost half as much again as the calls.
  constexpr double kOneToken = 1 / 1.5;
  return switchyard::bench::RunBenchProgram(
      argc, argv,
      {Against({"wire/shm_16mib", 4096, Transport::kSharedMemory, 2}),
       Against({"wire/shm_1mib", 256, Transport::kSharedMemory, 2}),
       Against({"wire/tcp_16mib", 4096, Transport::kTcp, 0.8}),
       Against({"wire/tcp_1mib", 256, Transport::kTcp, 0.8}),
       Against({"wire/tcp_one_token", 1, Transport::kTcp, kOneToken}),
       Against({"wire/unix_16mib", 4096, Transport::kUnixSockets, 0.8}),
       Against({"wire/unix_1mib", 256, Transport::kUnixSockets, 0.8}),
       Against({"wire/unix_one_token", 1, Transport::kUnixSockets, kOneToken}),
       Against({"wire/unix_1mib_4_callers", 256, Transport::kUnixSockets,
                std::nullopt, 4})});
}
