// How fast a worker computes its experts, against what this machine can do at
// most: oneDNN's large GEMM where arithmetic is the cost, reading memory where
// the weights' bytes are. docs/performance.md explains the figures.
#include <prometheus/registry.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/compute/machine_limits.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "expert_worker/worker.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 1024;
constexpr int64_t kFfn = 4096;
constexpr int32_t kNumExperts = 8;
constexpr MicrobatchKey kKey = {.step = 0, .microbatch = 0};

int NumThreads() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

enum class Weights { kFloat32, kBFloat16, kInt8 };

LayerSpec Layer(Weights weights) {
  LayerSpec spec;
  spec.name = "bench";
  spec.hidden_size = kHidden;
  spec.num_experts = kNumExperts;
  spec.expert = MlpExpertSpec{kFfn, Activation::kRelu};
  spec.optimizer = SgdSpec{};
  if (weights == Weights::kBFloat16) {
    spec.parameter_dtypes = {{"experts.*.fc1.weight", DType::kBFloat16},
                             {"experts.*.fc2.weight", DType::kBFloat16}};
  }
  spec.inference_only = weights != Weights::kFloat32;
  spec.int8_weights = weights == Weights::kInt8;
  return spec;
}

// A worker with one layer of kNumExperts MLPs, all its own.
class BenchWorker {
 public:
  BenchWorker()
      : worker_({.worker_id = "bench", .num_compute_threads = NumThreads() - 1},
                Clock::Real(), registry_) {}

  absl::Status Load(Weights weights) {
    LoadExpertsRequest load = {.spec = Layer(weights), .expert_ids = {}};
    for (int32_t id = 0; id < kNumExperts; ++id) load.expert_ids.push_back(id);
    return worker_.LoadExperts(load);
  }

  // Every expert gets `rows` tokens of its own.
  absl::Status Forward(int64_t rows, bool train) {
    ExpertForwardRequest request;
    request.layer = "bench";
    if (train) request.keep = kKey;
    request.x = Tokens(rows);
    for (int32_t token = 0; token < rows * kNumExperts; ++token) {
      request.route_tokens.push_back(token);
      request.route_experts.push_back(token % kNumExperts);
      request.route_weights.push_back(0.5f);
    }
    return worker_.Forward(request).status();
  }

  absl::Status Backward(int64_t rows) {
    ExpertBackwardRequest request;
    request.layer = "bench";
    request.key = kKey;
    request.grad_y = Tokens(rows);
    return worker_.Backward(request).status();
  }

 private:
  static Tensor Tokens(int64_t rows) {
    Tensor tokens = Tensor::Uninitialized({rows * kNumExperts, kHidden});
    for (int64_t i = 0; i < tokens.num_elements(); ++i) {
      tokens.data()[i] = static_cast<float>(i % 1021) * 1e-3f - 0.5f;
    }
    return tokens;
  }

  prometheus::Registry registry_;
  Worker worker_;
};

double ForwardFlops(int64_t rows) {
  return 4.0 * static_cast<double>(kHidden * kFfn * rows * kNumExperts);
}

// Forward, and forward with backward, against the large GEMM's rate.
absl::Status ManyRows(int64_t rows, const AlternateOptions& options) {
  BenchWorker worker;
  SWITCHYARD_RETURN_IF_ERROR(worker.Load(Weights::kFloat32));
  LargeGemm gemm(NumThreads());
  const auto run_gemm = [&] {
    gemm.Run();
    return absl::OkStatus();
  };
  const auto train = [&] {
    const absl::Status status = worker.Forward(rows, true);
    return status.ok() ? worker.Backward(rows) : status;
  };
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<Samples> samples,
      Alternate({{"large GEMM", run_gemm},
                 {"forward", [&] { return worker.Forward(rows, false); }},
                 {"forward and backward", train}},
                options));
  const double limit = gemm.flops() / Median(samples[0]);
  Note(
      "%ld rows per expert: large GEMM %.0f, forward %.0f, forward and "
      "backward %.0f GFLOP/s",
      static_cast<long>(rows), limit / 1e9,
      ForwardFlops(rows) / Median(samples[1]) / 1e9,
      3 * ForwardFlops(rows) / Median(samples[2]) / 1e9);
  const double per_gemm = ForwardFlops(rows) / gemm.flops();
  Report({.name = absl::StrCat("compute/forward_", rows, "_rows"),
          .value = per_gemm * SpeedRatio(samples[1], samples[0]),
          .target = 0.85});
  Report({.name = absl::StrCat("compute/forward_backward_", rows, "_rows"),
          .value = 3 * per_gemm * SpeedRatio(samples[2], samples[0]),
          .target = 0.85});
  return absl::OkStatus();
}

// Weights' bytes per second against reading memory; and how much faster
// narrower weights are.
absl::Status FewRows(int64_t rows, const AlternateOptions& options) {
  BenchWorker workers[3];
  SWITCHYARD_RETURN_IF_ERROR(workers[0].Load(Weights::kFloat32));
  SWITCHYARD_RETURN_IF_ERROR(workers[1].Load(Weights::kBFloat16));
  SWITCHYARD_RETURN_IF_ERROR(workers[2].Load(Weights::kInt8));
  MemoryRead read(NumThreads(), int64_t{256} << 20);
  const auto run_read = [&] {
    read.Run();
    return absl::OkStatus();
  };
  const auto forward = [&](int i) {
    return [&workers, i, rows] { return workers[i].Forward(rows, false); };
  };
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<Samples> samples,
                              Alternate({{"memory", run_read},
                                         {"float32", forward(0)},
                                         {"bfloat16", forward(1)},
                                         {"int8", forward(2)}},
                                        options));
  const double weight_bytes = 2.0 * kHidden * kFfn * kNumExperts * 4;
  Note("%ld rows per expert: memory %.1f GB/s, float32 weights %.1f GB/s",
       static_cast<long>(rows), read.bytes() / Median(samples[0]) / 1e9,
       weight_bytes / Median(samples[1]) / 1e9);
  Report({.name = absl::StrCat("compute/bandwidth_", rows, "_rows"),
          .value =
              weight_bytes / read.bytes() * SpeedRatio(samples[1], samples[0]),
          .target = 0.75});
  Report({.name = absl::StrCat("compute/bfloat16_speedup_", rows, "_rows"),
          .value = SpeedRatio(samples[2], samples[1]),
          .target = 1.7});
  Report({.name = absl::StrCat("compute/int8_speedup_", rows, "_rows"),
          .value = SpeedRatio(samples[3], samples[1]),
          .target = 3.0});
  return absl::OkStatus();
}

std::vector<Benchmark> Benchmarks() {
  std::vector<Benchmark> benchmarks;
  for (const int64_t rows : {64, 256}) {
    benchmarks.push_back({absl::StrCat("compute/", rows, "_rows"),
                          [rows](const AlternateOptions& options) {
                            return ManyRows(rows, options);
                          }});
  }
  for (const int64_t rows : {1, 2, 4}) {
    benchmarks.push_back({absl::StrCat("compute/", rows, "_rows"),
                          [rows](const AlternateOptions& options) {
                            return FewRows(rows, options);
                          }});
  }
  return benchmarks;
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  return switchyard::bench::RunBenchProgram(argc, argv,
                                            switchyard::bench::Benchmarks());
}
