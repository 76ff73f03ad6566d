// What the tests of Worker share.
#ifndef SWITCHYARD_EXPERT_WORKER_WORKER_TESTING_H_
#define SWITCHYARD_EXPERT_WORKER_WORKER_TESTING_H_

#include <prometheus/registry.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/api/expert_calls.h"
#include "common/base/clock.h"
#include "common/model/layer_spec.h"
#include "common/model/parameters.h"
#include "expert_worker/testing/random_tensor.h"
#include "expert_worker/worker.h"

namespace switchyard::testing {

// Stands still until told otherwise. Thread-safe.
class FakeClock final : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixMicros(now_us_); }
  void Advance(absl::Duration by) { now_us_ += absl::ToInt64Microseconds(by); }

 private:
  std::atomic<int64_t> now_us_{0};
};

inline constexpr uint64_t kGeneration = 3;

// Five experts, 6 wide.
inline LayerSpec SmallLayer(ExpertSpec expert = LinearExpertSpec{}) {
  LayerSpec spec = {.name = "x"};
  spec.hidden_size = 6;
  spec.num_experts = 5;
  spec.expert = expert;
  spec.gate.k = 2;
  spec.optimizer = SgdSpec{};
  spec.seed = 11;
  return spec;
}

inline LoadExpertsRequest LoadAll(const LayerSpec& spec) {
  LoadExpertsRequest request = {
      .spec = spec, .expert_ids = {}, .generation = kGeneration};
  request.expert_ids.resize(static_cast<size_t>(spec.num_hosted_experts()));
  std::iota(request.expert_ids.begin(), request.expert_ids.end(), 0);
  return request;
}

// Tokens with k routes each to different experts, except every seventh, which
// has none; the others have one to the dense branch too, if there is one. Eval
// mode.
inline ExpertForwardRequest RandomForward(const LayerSpec& spec,
                                          int64_t num_tokens, uint64_t seed) {
  ExpertForwardRequest request;
  request.layer = spec.name;
  request.generation = kGeneration;
  request.x = RandomTensor({num_tokens, spec.hidden_size}, seed);
  const Tensor weights = RandomTensor({num_tokens, spec.gate.k}, seed + 1000);
  for (int32_t token = 0; token < num_tokens; ++token) {
    if (token % 7 == 6) continue;
    for (int32_t i = 0; i < spec.gate.k; ++i) {
      request.route_tokens.push_back(token);
      request.route_experts.push_back(
          (token * token + static_cast<int32_t>(seed) + i) % spec.num_experts);
      request.route_weights.push_back(weights.row(token)[i]);
    }
    if (!spec.dense_branch.has_value()) continue;
    request.route_tokens.push_back(token);
    request.route_experts.push_back(spec.branch_id());
    request.route_weights.push_back(0.75f);
  }
  return request;
}

inline ExpertForwardRequest TrainForward(const LayerSpec& spec,
                                         int64_t num_tokens, uint64_t seed,
                                         MicrobatchKey key) {
  ExpertForwardRequest request = RandomForward(spec, num_tokens, seed);
  request.keep = key;
  return request;
}

inline ExpertBackwardRequest RandomBackward(const LayerSpec& spec,
                                            int64_t num_tokens, uint64_t seed,
                                            MicrobatchKey key) {
  ExpertBackwardRequest request;
  request.layer = spec.name;
  request.generation = kGeneration;
  request.key = key;
  request.grad_y = RandomTensor({num_tokens, spec.hidden_size}, seed + 2000);
  return request;
}

inline StepKey StepOf(const LayerSpec& spec, uint64_t step,
                      uint64_t generation = kGeneration) {
  return {.layer = spec.name, .generation = generation, .step = step};
}

// A worker with all that it needs.
struct TestWorker {
  explicit TestWorker(WorkerOptions options = {})
      : worker(WithId(std::move(options)), clock, registry) {}

  static WorkerOptions WithId(WorkerOptions options) {
    options.worker_id = "w0";
    return options;
  }

  FakeClock clock;
  prometheus::Registry registry;
  Worker worker;
};

// All parameters, or gradients, of all experts, one after the other. Empty if
// they cannot be read.
inline std::vector<float> ReadAll(Worker& worker, const LayerSpec& spec,
                                  ParameterKind kind) {
  ReadExpertsRequest request = {.layer = spec.name, .ranges = {}, .kind = kind};
  for (int32_t id = 0; id < spec.num_hosted_experts(); ++id) {
    for (const ParameterSpec& parameter : ExpertParameters(spec, id)) {
      request.ranges.push_back({parameter.name, 0, parameter.num_elements()});
    }
  }
  std::vector<float> all;
  const auto slices = worker.ReadExperts(request);
  if (!slices.ok()) return all;
  for (const ParameterSlice& slice : *slices) {
    all.insert(all.end(), slice.values.begin(), slice.values.end());
  }
  return all;
}

}  // namespace switchyard::testing

#endif  // SWITCHYARD_EXPERT_WORKER_WORKER_TESTING_H_
