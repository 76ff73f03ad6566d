// A training step of several microbatches, gateway and two workers as processes
// on loopback: pipelined on one stream against the same calls one after
// another.
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/end_to_end/bench_cluster.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "client/gateway_stream.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

constexpr int64_t kHidden = 1024;
constexpr uint32_t kMicrobatches = 8;
constexpr float kLearningRate = 1e-6f;

LayerSpec Layer(const std::string& name) {
  LayerSpec spec;
  spec.name = name;
  spec.hidden_size = kHidden;
  spec.num_experts = 8;
  spec.expert = MlpExpertSpec{1024, Activation::kRelu};
  spec.gate.k = 2;
  spec.capacity.drop_tokens = false;
  spec.optimizer = AdamSpec{};
  return spec;
}

ForwardRequest Forward(const std::string& layer, uint32_t microbatch,
                       const Tensor& x) {
  ForwardRequest request;
  request.layer = layer;
  request.mode = Mode::kTrain;
  request.microbatch = microbatch;
  request.x = x.Clone();
  return request;
}

BackwardRequest Backward(const std::string& layer,
                         const ForwardResult& forward) {
  BackwardRequest request;
  request.layer = layer;
  request.step = forward.step;
  request.microbatch = forward.microbatch;
  request.grad_y = forward.y.Clone();
  return request;
}

absl::Status TrainUnary(GatewayClient& client, const Tensor& x) {
  uint64_t step = 0;
  for (uint32_t m = 0; m < kMicrobatches; ++m) {
    SWITCHYARD_ASSIGN_OR_RETURN(const ForwardResult forward,
                                client.Forward(Forward("unary", m, x)));
    SWITCHYARD_RETURN_IF_ERROR(
        client.Backward(Backward("unary", forward)).status());
    step = forward.step;
  }
  return client
      .Step({.layer = "unary", .step = step, .learning_rate = kLearningRate})
      .status();
}

// Where one result, or its error, comes to.
template <typename Result>
class Answer {
 public:
  std::function<void(absl::StatusOr<Result>)> Done() {
    return [promise = promise_](absl::StatusOr<Result> result) {
      promise->set_value(std::move(result));
    };
  }
  absl::StatusOr<Result> Get() { return promise_->get_future().get(); }

 private:
  std::shared_ptr<std::promise<absl::StatusOr<Result>>> promise_ =
      std::make_shared<std::promise<absl::StatusOr<Result>>>();
};

// Two forwards are ahead of the backward that is being made ready.
absl::Status TrainStreamed(GatewayStream& stream, const Tensor& x) {
  constexpr uint32_t kAhead = 2;
  std::vector<Answer<ForwardResult>> forwards(kMicrobatches);
  std::vector<Answer<BackwardResult>> backwards(kMicrobatches);
  const auto send_forward = [&](uint32_t m) {
    return m < kMicrobatches
               ? stream.Forward(Forward("stream", m, x), forwards[m].Done())
               : absl::OkStatus();
  };
  for (uint32_t m = 0; m < kAhead; ++m) {
    SWITCHYARD_RETURN_IF_ERROR(send_forward(m));
  }
  uint64_t step = 0;
  for (uint32_t m = 0; m < kMicrobatches; ++m) {
    SWITCHYARD_RETURN_IF_ERROR(send_forward(m + kAhead));
    SWITCHYARD_ASSIGN_OR_RETURN(const ForwardResult forward, forwards[m].Get());
    step = forward.step;
    SWITCHYARD_RETURN_IF_ERROR(
        stream.Backward(Backward("stream", forward), backwards[m].Done()));
  }
  Answer<StepResult> stepped;
  SWITCHYARD_RETURN_IF_ERROR(stream.Step(
      {.layer = "stream", .step = step, .learning_rate = kLearningRate},
      stepped.Done()));
  for (Answer<BackwardResult>& backward : backwards) {
    SWITCHYARD_RETURN_IF_ERROR(backward.Get().status());
  }
  return stepped.Get().status();
}

absl::Status Compare(int64_t num_tokens, const std::string& name,
                     const AlternateOptions& options) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto cluster, BenchCluster::Start());
  GatewayClient& client = cluster->client();
  for (const char* layer : {"unary", "stream"}) {
    SWITCHYARD_RETURN_IF_ERROR(client.CreateLayer(Layer(layer)).status());
  }
  GatewayStream stream(cluster->gateway_address());
  const Tensor x = BenchTokens(num_tokens, kHidden);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<Samples> samples,
      Alternate({{"unary", [&] { return TrainUnary(client, x); }},
                 {"stream", [&] { return TrainStreamed(stream, x); }}},
                options));
  const double tokens = static_cast<double>(num_tokens) * kMicrobatches;
  Note("%s: unary %.0f tokens/s, stream %.0f tokens/s", name.c_str(),
       tokens / Median(samples[0]), tokens / Median(samples[1]));
  Report({.name = name, .value = SpeedRatio(samples[1], samples[0])});
  return absl::OkStatus();
}

Benchmark Comparison(const std::string& name, int64_t num_tokens) {
  return {name, [=](const AlternateOptions& options) {
            return Compare(num_tokens, name, options);
          }};
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using switchyard::bench::Comparison;
  return switchyard::bench::RunBenchProgram(
      argc, argv,
      {Comparison("stream/train_8x64_tokens", 64),
       Comparison("stream/train_8x256_tokens", 256)});
}
