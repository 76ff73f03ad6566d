// Four workers that exchange tokens among themselves against the same workers
// called one by one, all as processes on loopback: forwards of few and of many
// choices, experts so small that moving tokens is most of the work.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/end_to_end/bench_cluster.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 1024;
constexpr int64_t kTokens = 1024;

LayerSpec Layer(int32_t k) {
  LayerSpec spec;
  spec.name = "bench";
  spec.hidden_size = kHidden;
  spec.num_experts = 16;
  spec.expert = MlpExpertSpec{64, Activation::kRelu};
  spec.gate.k = k;
  spec.capacity.drop_tokens = false;
  return spec;
}

absl::Status Compare(int32_t k, const std::string& name,
                     const AlternateOptions& options) {
  // One by one, and as a group.
  std::array<std::unique_ptr<BenchCluster>, 2> clusters;
  for (size_t i = 0; i < clusters.size(); ++i) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        clusters[i],
        BenchCluster::Start({.num_workers = 4, .form_group = i == 1}));
    SWITCHYARD_RETURN_IF_ERROR(
        clusters[i]->client().CreateLayer(Layer(k)).status());
  }
  const Tensor x = BenchTokens(kTokens, kHidden);
  const auto forward = [&x](GatewayClient& client) {
    ForwardRequest request;
    request.layer = "bench";
    request.x = x.Clone();
    return client.Forward(request).status();
  };
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<Samples> samples,
      Alternate({{"one by one", [&] { return forward(clusters[0]->client()); }},
                 {"group", [&] { return forward(clusters[1]->client()); }}},
                options));
  Note("%s: one by one %.0f tokens/s, group %.0f tokens/s", name.c_str(),
       kTokens / Median(samples[0]), kTokens / Median(samples[1]));
  Report({.name = name, .value = SpeedRatio(samples[1], samples[0])});
  return absl::OkStatus();
}

Benchmark Comparison(const std::string& name, int32_t k) {
  return {name, [=](const AlternateOptions& options) {
            return Compare(k, name, options);
          }};
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using switchyard::bench::Comparison;
  return switchyard::bench::RunBenchProgram(
      argc, argv,
      {Comparison("group/forward_k2", 2), Comparison("group/forward_k8", 8)});
}
