#ifndef SWITCHYARD_EXPERT_WORKER_WORKER_METRICS_H_
#define SWITCHYARD_EXPERT_WORKER_WORKER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/base/clock.h"

namespace switchyard {

enum class WorkerCall {
  kLoadExperts,
  kUnloadExperts,
  kReadExperts,
  kWriteExperts,
  kImportExperts,
  kForward,
  kBackward,
  kPrepareStep,
  kCommitStep,
  kAbortStep,
};

// The series of one hosted layer, looked up once. They leave the page with it,
// unless the layer has been loaded again meanwhile. Thread-safe.
class LayerSeries {
 public:
  LayerSeries(prometheus::Family<prometheus::Counter>& expert_tokens,
              prometheus::Family<prometheus::Counter>& steps,
              const std::string& layer, std::vector<int32_t> expert_ids);
  ~LayerSeries();
  LayerSeries(const LayerSeries&) = delete;
  LayerSeries& operator=(const LayerSeries&) = delete;

  // Counts each route for its expert. All must be hosted.
  void CountRoutes(absl::Span<const int32_t> route_experts);
  void CountStep() { steps_counter_->Increment(); }

 private:
  prometheus::Family<prometheus::Counter>& expert_tokens_;
  prometheus::Family<prometheus::Counter>& steps_;
  // Rising; counters in the same order.
  const std::vector<int32_t> expert_ids_;
  std::vector<prometheus::Counter*> expert_counters_;
  prometheus::Counter* steps_counter_;
};

// What a worker counts and measures; docs/metrics.md lists it. Several workers
// may share a registry: their series are then sums. Thread-safe.
class WorkerMetrics {
 public:
  // `registry` must outlive the metrics and every LayerSeries.
  explicit WorkerMetrics(prometheus::Registry& registry);

  std::unique_ptr<LayerSeries> AddLayer(const std::string& layer,
                                        std::vector<int32_t> expert_ids);

  prometheus::Histogram& call_seconds(WorkerCall call) {
    return *call_seconds_[static_cast<size_t>(call)];
  }
  void AddKeptActivationBytes(int64_t change) {
    kept_activation_bytes_.Increment(static_cast<double>(change));
  }
  void AddParameterBytes(int64_t change) {
    parameter_bytes_.Increment(static_cast<double>(change));
  }

 private:
  static constexpr size_t kNumCalls = 10;

  prometheus::Family<prometheus::Counter>& expert_tokens_;
  prometheus::Family<prometheus::Counter>& steps_;
  std::array<prometheus::Histogram*, kNumCalls> call_seconds_;
  prometheus::Gauge& kept_activation_bytes_;
  prometheus::Gauge& parameter_bytes_;
};

// Measures one call from construction to destruction.
class CallTimer {
 public:
  CallTimer(WorkerMetrics& metrics, WorkerCall call)
      : histogram_(metrics.call_seconds(call)) {}
  ~CallTimer();
  CallTimer(const CallTimer&) = delete;
  CallTimer& operator=(const CallTimer&) = delete;

 private:
  prometheus::Histogram& histogram_;
  Stopwatch stopwatch_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_WORKER_METRICS_H_
