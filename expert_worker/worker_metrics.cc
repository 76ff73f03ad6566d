#include "expert_worker/worker_metrics.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/metrics/metrics.h"

namespace switchyard {
namespace {

using CounterFamily = prometheus::Family<prometheus::Counter>;

// How many hold each labelled counter. A family hands the same counter to all
// who ask for the same labels - a layer loaded again while a call to its former
// self is still under way, two workers on one registry - and the first to
// remove it would leave the others with a dangling pointer.
class SharedCounters {
 public:
  // One per process, as families may be shared by workers that know nothing of
  // each other.
  static SharedCounters& Get() {
    static auto& counters = *new SharedCounters;
    return counters;
  }

  prometheus::Counter* Acquire(CounterFamily& family,
                               const prometheus::Labels& labels) {
    MutexLock lock(mutex_);
    prometheus::Counter* counter = &family.Add(labels);
    ++num_holders_[counter];
    return counter;
  }

  void Release(CounterFamily& family, prometheus::Counter* counter) {
    MutexLock lock(mutex_);
    const auto found = num_holders_.find(counter);
    if (--found->second > 0) return;
    num_holders_.erase(found);
    family.Remove(counter);
  }

 private:
  Mutex mutex_;
  absl::flat_hash_map<prometheus::Counter*, int> num_holders_
      ABSL_GUARDED_BY(mutex_);
};

const char* CallName(WorkerCall call) {
  switch (call) {
    case WorkerCall::kLoadExperts:
      return "load_experts";
    case WorkerCall::kUnloadExperts:
      return "unload_experts";
    case WorkerCall::kReadExperts:
      return "read_experts";
    case WorkerCall::kWriteExperts:
      return "write_experts";
    case WorkerCall::kImportExperts:
      return "import_experts";
    case WorkerCall::kForward:
      return "forward";
    case WorkerCall::kBackward:
      return "backward";
    case WorkerCall::kPrepareStep:
      return "prepare_step";
    case WorkerCall::kCommitStep:
      return "commit_step";
    case WorkerCall::kAbortStep:
      return "abort_step";
  }
  return "unknown";
}

prometheus::Gauge& AddGauge(prometheus::Registry& registry,
                            const std::string& name, const std::string& text) {
  return prometheus::BuildGauge().Name(name).Help(text).Register(registry).Add(
      {});
}

}  // namespace

LayerSeries::LayerSeries(CounterFamily& expert_tokens, CounterFamily& steps,
                         const std::string& layer,
                         std::vector<int32_t> expert_ids)
    : expert_tokens_(expert_tokens),
      steps_(steps),
      expert_ids_(std::move(expert_ids)),
      steps_counter_(SharedCounters::Get().Acquire(steps, {{"layer", layer}})) {
  expert_counters_.reserve(expert_ids_.size());
  for (const int32_t expert_id : expert_ids_) {
    expert_counters_.push_back(SharedCounters::Get().Acquire(
        expert_tokens_,
        {{"layer", layer}, {"expert", absl::StrCat(expert_id)}}));
  }
}

LayerSeries::~LayerSeries() {
  for (prometheus::Counter* counter : expert_counters_) {
    SharedCounters::Get().Release(expert_tokens_, counter);
  }
  SharedCounters::Get().Release(steps_, steps_counter_);
}

void LayerSeries::CountRoutes(absl::Span<const int32_t> route_experts) {
  std::vector<int64_t> counts(expert_ids_.size(), 0);
  for (const int32_t expert_id : route_experts) {
    const auto found =
        std::lower_bound(expert_ids_.begin(), expert_ids_.end(), expert_id);
    ++counts[static_cast<size_t>(found - expert_ids_.begin())];
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    expert_counters_[i]->Increment(static_cast<double>(counts[i]));
  }
}

WorkerMetrics::WorkerMetrics(prometheus::Registry& registry)
    : expert_tokens_(prometheus::BuildCounter()
                         .Name("switchyard_worker_expert_tokens_total")
                         .Help("Tokens computed, by layer and expert")
                         .Register(registry)),
      steps_(prometheus::BuildCounter()
                 .Name("switchyard_worker_steps_total")
                 .Help("Steps committed, by layer")
                 .Register(registry)),
      kept_activation_bytes_(AddGauge(registry,
                                      "switchyard_worker_kept_activation_bytes",
                                      "Bytes kept for Backward")),
      parameter_bytes_(
          AddGauge(registry, "switchyard_worker_parameter_bytes",
                   "Bytes of parameters, gradients and optimizer state")) {
  auto& call_seconds = prometheus::BuildHistogram()
                           .Name("switchyard_worker_call_seconds")
                           .Help("Time in the worker, by call")
                           .Register(registry);
  for (size_t i = 0; i < kNumCalls; ++i) {
    call_seconds_[i] =
        &call_seconds.Add({{"call", CallName(static_cast<WorkerCall>(i))}},
                          LatencyBucketsSeconds());
  }
}

std::unique_ptr<LayerSeries> WorkerMetrics::AddLayer(
    const std::string& layer, std::vector<int32_t> expert_ids) {
  return std::make_unique<LayerSeries>(expert_tokens_, steps_, layer,
                                       std::move(expert_ids));
}

CallTimer::~CallTimer() { ObserveUs(histogram_, stopwatch_.ElapsedUs()); }

}  // namespace switchyard
