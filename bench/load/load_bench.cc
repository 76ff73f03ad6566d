// How the service bears load: latency against offered rate, and what 64 clients
// at once get. Requests of 16 tokens to 8 experts of hidden 512, ffn 2048, by
// the generator of `switchyard bench`.
#include <algorithm>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "bench/end_to_end/bench_cluster.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "cli/load/load_run.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 512;

LayerSpec Layer() {
  LayerSpec spec;
  spec.name = "bench";
  spec.hidden_size = kHidden;
  spec.num_experts = 8;
  spec.expert = MlpExpertSpec{2048, Activation::kRelu};
  spec.gate.k = 2;
  spec.inference_only = true;
  return spec;
}

absl::StatusOr<LoadOptions> OptionsFor(BenchCluster& cluster) {
  SWITCHYARD_RETURN_IF_ERROR(cluster.client().CreateLayer(Layer()).status());
  LoadOptions options;
  options.gateway = cluster.gateway_address();
  options.layer = Layer().name;
  options.x = BenchTokens(16, kHidden);
  options.duration = absl::Seconds(3);
  return options;
}

absl::Status MeasureLatency(const AlternateOptions& /*options*/) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto cluster, BenchCluster::Start({}));
  SWITCHYARD_ASSIGN_OR_RETURN(LoadOptions options, OptionsFor(*cluster));
  options.num_clients = 4;
  SWITCHYARD_ASSIGN_OR_RETURN(const LoadResult most, RunLoad(options));
  const double most_per_s = most.AnsweredPerSecond();
  Note("load: the closed loop with 16 callers answers %.0f requests/s",
       most_per_s);
  options.max_outstanding_per_client = 64;
  for (const double share : {0.1, 0.5, 0.8}) {
    options.rate_per_s = share * most_per_s;
    SWITCHYARD_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(options));
    const LatencyHistogram& latency = result.latency;
    const auto p50 = static_cast<double>(latency.QuantileUs(0.5));
    const auto p99 = static_cast<double>(latency.QuantileUs(0.99));
    Note(
        "load: offered %.0f/s, answered %.0f/s, p50 %.0f us, p99 %.0f us, "
        "p99.9 %lld us",
        options.rate_per_s, result.AnsweredPerSecond(), p50, p99,
        static_cast<long long>(latency.QuantileUs(0.999)));
    Report({.name =
                absl::StrFormat("load/p99_of_p50_at_%.0f_percent", share * 100),
            .value = p99 / p50,
            .direction = Direction::kAtMost});
    if (result.NumFailed() > 0) {
      return absl::InternalError("requests failed below saturation");
    }
  }
  return absl::OkStatus();
}

absl::Status MeasureFairness(const AlternateOptions& /*options*/) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto cluster, BenchCluster::Start({}));
  SWITCHYARD_ASSIGN_OR_RETURN(LoadOptions options, OptionsFor(*cluster));
  options.num_clients = 64;
  options.max_outstanding_per_client = 1;
  SWITCHYARD_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(options));
  int64_t least = result.answered;
  for (const ClientLoad& client : result.clients) {
    least = std::min(least, client.answered);
  }
  Report({.name = "load/64_clients_lost",
          .value = static_cast<double>(result.NumFailed()),
          .unit = "requests",
          .target = 0,
          .direction = Direction::kAtMost});
  // 1: all got the same; 1/64: one got all.
  Report({.name = "load/64_clients_fairness",
          .value = result.Fairness(),
          .target = 0.95});
  Report({.name = "load/64_clients_least_of_mean",
          .value = static_cast<double>(least) * 64 /
                   static_cast<double>(result.answered),
          .target = 0.5});
  return absl::OkStatus();
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using namespace switchyard::bench;
  return RunBenchProgram(
      argc, argv,
      {{"load/latency", MeasureLatency}, {"load/64_clients", MeasureFairness}});
}
