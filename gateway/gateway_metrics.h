#ifndef SWITCHYARD_GATEWAY_GATEWAY_METRICS_H_
#define SWITCHYARD_GATEWAY_GATEWAY_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace switchyard {

// The parts of a call, in the order in which it passes through them.
enum class Stage {
  kGate,          // logits, noise, top-k, capacity
  kPlan,          // dispatch plan, gathering rows
  kExperts,       // from the first call to workers to the last answer
  kCombine,       // summing the answers
  kGateBackward,  // from route gradients to x and gate weight
  kPrepare,       // first half of a step
  kCommit,        // second half of a step
};
inline constexpr int kNumStages = 7;

// What became of a call of a group of workers.
enum class GroupCallOutcome {
  kDone,
  kFailed,  // a member failed, and all said so
  kBroken,  // the group is no more
};
inline constexpr int kNumGroupCallOutcomes = 3;

// The series of one layer, looked up once. Borrowed from GatewayMetrics.
struct LayerMetrics {
  // [num_experts].
  std::vector<prometheus::Counter*> expert_tokens;
  prometheus::Counter* tokens = nullptr;
  prometheus::Counter* dropped_routes = nullptr;
  prometheus::Counter* steps = nullptr;
  prometheus::Gauge* aux_loss = nullptr;
};

// All metrics of the gateway but those of the RPC layer; docs/metrics.md lists
// them. Thread-safe.
class GatewayMetrics {
 public:
  // `registry` must outlive this.
  explicit GatewayMetrics(prometheus::Registry& registry);

  LayerMetrics AddLayer(const std::string& layer, int32_t num_experts);
  // The series disappear from the page; the pointers are dead.
  void RemoveLayer(const LayerMetrics& layer);

  void ObserveStage(Stage stage, int64_t latency_us);
  // Eval forwards that went to the workers in one dispatch.
  void ObserveMergedRequests(int64_t num_requests) {
    merged_requests_.Observe(static_cast<double>(num_requests));
  }
  void SetWorkersUp(int num_workers);
  void CountLostWorker() { workers_lost_.Increment(); }
  void SetGroupsConnected(int num_groups) { groups_connected_.Set(num_groups); }
  void CountGroupCall(GroupCallOutcome outcome) {
    group_calls_[static_cast<size_t>(outcome)]->Increment();
  }

 private:
  prometheus::Family<prometheus::Counter>& expert_tokens_;
  prometheus::Family<prometheus::Counter>& tokens_;
  prometheus::Family<prometheus::Counter>& dropped_routes_;
  prometheus::Family<prometheus::Counter>& steps_;
  prometheus::Family<prometheus::Gauge>& aux_loss_;
  std::array<prometheus::Histogram*, kNumStages> stages_;
  prometheus::Histogram& merged_requests_;
  prometheus::Gauge& workers_up_;
  prometheus::Counter& workers_lost_;
  prometheus::Gauge& groups_connected_;
  std::array<prometheus::Counter*, kNumGroupCallOutcomes> group_calls_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_GATEWAY_METRICS_H_
