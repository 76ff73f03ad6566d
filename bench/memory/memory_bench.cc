// What a worker's memory is beside its parameters: its resident size under
// load, less the memory that it may keep for its next requests
// (common/tensor/tensor_memory.h), of the bytes of what it hosts.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/end_to_end/bench_cluster.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "cli/process/resident_memory.h"
#include "common/base/status_macros.h"
#include "common/tensor/tensor_memory.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 1024;
constexpr int64_t kFfn = 4096;
constexpr int64_t kTokens = 1024;
constexpr double kMiB = 1 << 20;

struct Case {
  std::string name;
  bool trains = false;
  int32_t num_experts = 0;
};

LayerSpec Layer(const Case& measured) {
  LayerSpec spec;
  spec.name = "bench";
  spec.hidden_size = kHidden;
  spec.num_experts = measured.num_experts;
  spec.expert = MlpExpertSpec{kFfn, Activation::kRelu};
  spec.gate.k = 2;
  spec.capacity.drop_tokens = false;
  spec.inference_only = !measured.trains;
  spec.optimizer = AdamSpec{};
  return spec;
}

// Values; for training gradients and Adam's two moments too.
int64_t HostedBytes(const Case& measured) {
  const int64_t floats =
      measured.num_experts * (2 * kHidden * kFfn + kHidden + kFfn);
  return floats * static_cast<int64_t>(sizeof(float)) *
         (measured.trains ? 4 : 1);
}

absl::Status Load(GatewayClient& client, const Case& measured,
                  const Tensor& x) {
  ForwardRequest forward;
  forward.layer = "bench";
  forward.mode = measured.trains ? Mode::kTrain : Mode::kEval;
  forward.x = x.Share();
  SWITCHYARD_ASSIGN_OR_RETURN(const ForwardResult result,
                              client.Forward(forward));
  if (!measured.trains) return absl::OkStatus();
  BackwardRequest backward;
  backward.layer = "bench";
  backward.step = result.step;
  backward.microbatch = result.microbatch;
  backward.grad_y = x.Share();
  SWITCHYARD_RETURN_IF_ERROR(client.Backward(backward).status());
  return client
      .Step({.layer = "bench", .step = result.step, .learning_rate = 1e-6f})
      .status();
}

absl::Status Measure(const Case& measured, const AlternateOptions& options) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto cluster,
                              BenchCluster::Start({.num_workers = 1}));
  SWITCHYARD_RETURN_IF_ERROR(
      cluster->client().CreateLayer(Layer(measured)).status());
  const Tensor x = BenchTokens(kTokens, kHidden);
  int64_t most_bytes = 0;
  for (int i = 0; i < 4 * options.repeats; ++i) {
    SWITCHYARD_RETURN_IF_ERROR(Load(cluster->client(), measured, x));
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t bytes,
                                ResidentBytes(cluster->worker_pid(0)));
    most_bytes = std::max(most_bytes, bytes);
  }
  const auto hosted = static_cast<double>(HostedBytes(measured));
  const auto resident = static_cast<double>(most_bytes);
  Note(
      "%s: hosts %.0f MiB, resident %.0f MiB, of which up to %.0f MiB kept "
      "for the next requests",
      measured.name.c_str(), hosted / kMiB, resident / kMiB,
      static_cast<double>(kMaxKeptBlockBytes) / kMiB);
  Report(
      {.name = measured.name,
       .value = (resident - static_cast<double>(kMaxKeptBlockBytes)) / hosted,
       .target = 1.15,
       .direction = Direction::kAtMost});
  Report({.name = measured.name + "_whole", .value = resident / hosted});
  return absl::OkStatus();
}

Benchmark Of(const Case& measured) {
  return {measured.name, [measured](const AlternateOptions& options) {
            return Measure(measured, options);
          }};
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using switchyard::bench::Of;
  return switchyard::bench::RunBenchProgram(
      argc, argv,
      {Of({"memory/worker_inference", false, 64}),
       Of({"memory/worker_training", true, 16})});
}
