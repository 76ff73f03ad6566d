// The service, gateway and two workers as processes on loopback, against the
// same experts computed in this process with the same routes on the same cores:
// what the network, the gate and the processes cost.
#include <prometheus/registry.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/end_to_end/bench_cluster.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "expert_worker/worker.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 1024;

LayerSpec Layer() {
  LayerSpec spec;
  spec.name = "bench";
  spec.hidden_size = kHidden;
  spec.num_experts = 8;
  spec.expert = MlpExpertSpec{4096, Activation::kRelu};
  spec.gate.k = 2;
  spec.capacity.drop_tokens = false;
  spec.optimizer = AdamSpec{};
  return spec;
}

// All experts in one worker, called directly, on all cores.
class InProcess {
 public:
  InProcess()
      : worker_({.worker_id = "bench",
                 .num_compute_threads =
                     static_cast<int>(std::thread::hardware_concurrency()) - 1},
                Clock::Real(), registry_) {}

  absl::Status Load() {
    LoadExpertsRequest load = {.spec = Layer(), .expert_ids = {}};
    for (int32_t id = 0; id < Layer().num_experts; ++id) {
      load.expert_ids.push_back(id);
    }
    return worker_.LoadExperts(load);
  }

  absl::Status Forward(const Tensor& x, const Routes& routes,
                       std::optional<MicrobatchKey> keep) {
    ExpertForwardRequest request;
    request.layer = Layer().name;
    request.keep = keep;
    request.x = x.Clone();
    for (size_t entry = 0; entry < routes.expert_ids.size(); ++entry) {
      request.route_tokens.push_back(
          static_cast<int32_t>(entry / static_cast<size_t>(routes.k)));
      request.route_experts.push_back(routes.expert_ids[entry]);
      request.route_weights.push_back(routes.weights[entry]);
    }
    return worker_.Forward(request).status();
  }

  // Forward, backward, Adam.
  absl::Status Train(const Tensor& x, const Routes& routes) {
    const MicrobatchKey key = {.step = step_, .microbatch = 0};
    SWITCHYARD_RETURN_IF_ERROR(Forward(x, routes, key));
    ExpertBackwardRequest backward;
    backward.layer = Layer().name;
    backward.key = key;
    backward.grad_y = x.Clone();
    SWITCHYARD_RETURN_IF_ERROR(worker_.Backward(backward).status());
    const StepKey step = {.layer = Layer().name, .step = step_++};
    SWITCHYARD_RETURN_IF_ERROR(worker_.PrepareStep(step).status());
    return worker_.CommitStep(step, 1e-6f);
  }

 private:
  prometheus::Registry registry_;
  Worker worker_;
  uint64_t step_ = 0;
};

absl::Status ForwardRemote(GatewayClient& client, const Tensor& x) {
  ForwardRequest request;
  request.layer = Layer().name;
  request.x = x.Clone();
  return client.Forward(request).status();
}

absl::Status TrainRemote(GatewayClient& client, const Tensor& x) {
  ForwardRequest forward;
  forward.layer = Layer().name;
  forward.mode = Mode::kTrain;
  forward.x = x.Clone();
  SWITCHYARD_ASSIGN_OR_RETURN(const ForwardResult result,
                              client.Forward(forward));
  BackwardRequest backward;
  backward.layer = Layer().name;
  backward.step = result.step;
  backward.microbatch = result.microbatch;
  backward.grad_y = x.Clone();
  SWITCHYARD_RETURN_IF_ERROR(client.Backward(backward).status());
  return client
      .Step(
          {.layer = Layer().name, .step = result.step, .learning_rate = 1e-6f})
      .status();
}

// The routes that the service's gate chooses.
absl::StatusOr<Routes> RoutesFor(GatewayClient& client, const Tensor& x) {
  ForwardRequest request;
  request.layer = Layer().name;
  request.return_routes = true;
  request.x = x.Clone();
  SWITCHYARD_ASSIGN_OR_RETURN(ForwardResult result, client.Forward(request));
  if (!result.routes.has_value()) {
    return absl::InternalError("Forward returned no routes");
  }
  return *std::move(result.routes);
}

absl::Status Compare(int64_t num_tokens, bool train, const std::string& name,
                     double target, const AlternateOptions& options) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto cluster, BenchCluster::Start());
  GatewayClient& client = cluster->client();
  SWITCHYARD_RETURN_IF_ERROR(client.CreateLayer(Layer()).status());
  InProcess in_process;
  SWITCHYARD_RETURN_IF_ERROR(in_process.Load());
  const Tensor x = BenchTokens(num_tokens, kHidden);
  SWITCHYARD_ASSIGN_OR_RETURN(const Routes routes, RoutesFor(client, x));
  const auto local = [&] {
    return train ? in_process.Train(x, routes)
                 : in_process.Forward(x, routes, std::nullopt);
  };
  const auto remote = [&] {
    return train ? TrainRemote(client, x) : ForwardRemote(client, x);
  };
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<Samples> samples,
      Alternate({{"in process", local}, {"service", remote}}, options));
  const double tokens = static_cast<double>(num_tokens);
  Note("%s: in process %.0f tokens/s, service %.0f tokens/s", name.c_str(),
       tokens / Median(samples[0]), tokens / Median(samples[1]));
  Report({.name = name,
          .value = SpeedRatio(samples[1], samples[0]),
          .target = target});
  return absl::OkStatus();
}

Benchmark Comparison(const std::string& name, int64_t num_tokens, bool train,
                     double target) {
  return {name, [=](const AlternateOptions& options) {
            return Compare(num_tokens, train, name, target, options);
          }};
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using switchyard::bench::Comparison;
  return switchyard::bench::RunBenchProgram(
      argc, argv,
      {Comparison("end_to_end/forward_1024_tokens", 1024, false, 0.8),
       Comparison("end_to_end/forward_64_tokens", 64, false, 0.75),
       Comparison("end_to_end/train_1024_tokens", 1024, true, 0.75)});
}
