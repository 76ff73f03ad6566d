#ifndef SWITCHYARD_GATEWAY_LAYER_LOAD_TRACKER_H_
#define SWITCHYARD_GATEWAY_LAYER_LOAD_TRACKER_H_

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "common/api/layer_calls.h"
#include "common/base/mutex.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/gateway_metrics.h"
#include "gateway/placement/placement.h"
#include "gateway/routing/router.h"

namespace switchyard {

// Counts what a layer's experts and workers were given, for GetLoad and for
// Prometheus. Thread-safe.
class LoadTracker {
 public:
  // `metrics` must outlive this.
  LoadTracker(const LayerSpec& spec, GatewayMetrics& metrics);
  ~LoadTracker();
  LoadTracker(const LoadTracker&) = delete;
  LoadTracker& operator=(const LoadTracker&) = delete;

  // After a forward that was answered.
  void OnForward(Mode mode, const RoutingDecision& decision,
                 const DispatchPlan& plan, const Placement& placement)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void OnStep() ABSL_LOCKS_EXCLUDED(mutex_);

  LayerLoad Snapshot() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  GatewayMetrics& metrics_;
  const LayerMetrics series_;
  mutable Mutex mutex_;
  LayerLoad load_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, int64_t> worker_routes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_LOAD_TRACKER_H_
