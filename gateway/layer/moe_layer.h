#ifndef SWITCHYARD_GATEWAY_LAYER_MOE_LAYER_H_
#define SWITCHYARD_GATEWAY_LAYER_MOE_LAYER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/api/layer_calls.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "gateway/gateway_metrics.h"
#include "gateway/layer/batch_routing.h"
#include "gateway/layer/expert_exchange.h"
#include "gateway/layer/forward_merger.h"
#include "gateway/layer/gate.h"
#include "gateway/layer/layer_membership.h"
#include "gateway/layer/load_tracker.h"
#include "gateway/training/microbatch_table.h"
#include "gateway/training/step_routing.h"
#include "gateway/training/step_state.h"

namespace switchyard {

struct MoeLayerLimits {
  // Kept for backward passes to come, per layer.
  int64_t max_open_microbatch_bytes = int64_t{1} << 30;
  // A microbatch without Backward for longer than this breaks its step.
  absl::Duration microbatch_ttl = absl::Minutes(10);
  // Gate weight with its gradient and optimizer state, per layer.
  int64_t max_gate_bytes = int64_t{1} << 30;
  // Longest that one call to a worker may take.
  absl::Duration worker_call_timeout = absl::Seconds(60);
  // Eval forwards that are merged, per layer.
  MergeLimits merge;
};

// What a layer needs from its surroundings. `clock` and `metrics` must outlive
// the layer; `report_lost` must be callable as long as it lives, and may call
// OnWorkerGone.
struct MoeLayerEnvironment {
  MoeLayerLimits limits;
  Clock& clock;
  GatewayMetrics& metrics;
  const GroupDirectory& groups;
  // Refuses to compute until ImportParameters says that it is finished.
  bool awaits_import = false;
  ReportLostWorker report_lost;
};

// One MoE layer: gate, placement, training state. A batch passes through
// Forward as docs/architecture.md tells, "How a batch travels".
//
// Calls block until done, late or cancelled. Forward and Backward run in
// parallel with one another; Step, TrainStep and WriteParameters run alone, so
// that no request sees gate and experts of different steps. Thread-safe.
class MoeLayer {
 public:
  // Loads the experts onto the groups, by worker id. `spec` must be valid.
  // FAILED_PRECONDITION: too few workers; RESOURCE_EXHAUSTED: over a limit,
  // here or on a worker. On error nothing stays loaded.
  static absl::StatusOr<std::shared_ptr<MoeLayer>> Create(
      LayerSpec spec,
      const absl::btree_map<std::string, std::shared_ptr<ExpertGroup>>& groups,
      uint64_t generation, MoeLayerEnvironment environment,
      const CallContext& call);

  // `draws` replaces the layer's own random numbers; for tests that bring those
  // of a reference run.
  absl::StatusOr<ForwardResult> Forward(const ForwardRequest& request,
                                        const CallContext& call,
                                        const GateDraws* draws = nullptr);
  absl::StatusOr<BackwardResult> Backward(const BackwardRequest& request,
                                          const CallContext& call);
  absl::StatusOr<StepResult> Step(const StepRequest& request,
                                  const CallContext& call);
  absl::StatusOr<TrainStepResult> TrainStep(const TrainStepRequest& request,
                                            const CallContext& call);
  absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request, const CallContext& call);
  absl::Status WriteParameters(const WriteParametersRequest& request,
                               const CallContext& call);
  absl::StatusOr<ImportParametersResult> ImportParameters(
      const ImportParametersRequest& request, const CallContext& call);
  // Unloads the experts, once the calls in progress are done.
  void Unload(const CallContext& call);

  // Takes a worker out of the placement; breaks the open step if it hosted any
  // of the layer's experts.
  void OnWorkerGone(const std::string& worker_id, const std::string& reason,
                    uint64_t generation) ABSL_LOCKS_EXCLUDED(state_mutex_);

  LayerStatus Status() const ABSL_LOCKS_EXCLUDED(state_mutex_);
  LayerLoad Load() const { return load_.Snapshot(); }

  // For Create.
  MoeLayer(LayerSpec spec, std::shared_ptr<const LayerMembership> membership,
           MoeLayerEnvironment environment);

 private:
  struct ForwardOptions {
    CallContext call;
    RoutingOptions routing;
  };
  // A forward that went well, with what its backward will need.
  struct ForwardPass {
    ForwardResult result;
    OpenMicrobatch kept;
  };

  absl::StatusOr<ForwardResult> ForwardEval(const ForwardRequest& request,
                                            const CallContext& call,
                                            const GateDraws* draws)
      ABSL_SHARED_LOCKS_REQUIRED(step_lock_);
  absl::StatusOr<ForwardResult> ForwardTrain(const ForwardRequest& request,
                                             const CallContext& call,
                                             const GateDraws* draws)
      ABSL_SHARED_LOCKS_REQUIRED(step_lock_);
  absl::StatusOr<ForwardPass> RunForward(
      const ForwardRequest& request,
      const std::shared_ptr<const LayerMembership>& membership,
      const ForwardOptions& options) ABSL_SHARED_LOCKS_REQUIRED(step_lock_);
  // For merger_: plans the tokens and sends them to the workers.
  absl::StatusOr<ForwardExchange> DispatchForward(
      const LayerMembership& membership, const TokenRoutes& routes,
      const Tensor& x, const CallContext& call) const;
  absl::StatusOr<BackwardResult> BackwardLocked(const BackwardRequest& request,
                                                const CallContext& call)
      ABSL_SHARED_LOCKS_REQUIRED(step_lock_);
  absl::StatusOr<TrainStepResult> TrainStepLocked(
      const TrainStepRequest& request, const CallContext& call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_lock_);
  absl::StatusOr<StepResult> CommitLocked(float learning_rate,
                                          const CallContext& call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_lock_);
  void DiscardLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_lock_);
  // Leaves no trace of a TrainStep that failed with `error`; returns what to
  // tell the client.
  absl::Status DiscardAfter(const absl::Status& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(step_lock_);

  // UNAVAILABLE, with the reason, while experts are lost.
  absl::StatusOr<std::shared_ptr<const LayerMembership>> Membership() const
      ABSL_LOCKS_EXCLUDED(state_mutex_);
  // FAILED_PRECONDITION while parameters are missing.
  absl::Status CheckImported() const ABSL_LOCKS_EXCLUDED(state_mutex_);
  absl::Status CheckServingLocked() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_mutex_);
  ExchangeContext Context(const LayerMembership& membership,
                          const CallContext& call) const;
  // Tells the workers that what they keep for a forward that failed is for
  // nobody. Waits for none of them.
  void DropMicrobatch(const LayerMembership& membership,
                      const MicrobatchKey& key) const;
  void BreakStep(const std::string& reason) ABSL_LOCKS_EXCLUDED(state_mutex_);
  // What to tell a client whose training call failed with `error`: ABORTED if
  // the step is broken and can be repeated.
  absl::Status TrainingError(const absl::Status& error) const
      ABSL_LOCKS_EXCLUDED(state_mutex_);
  void BreakIfExpiredLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_mutex_);

  const LayerSpec spec_;
  const MoeLayerEnvironment environment_;
  LoadTracker load_;
  ForwardMerger merger_;

  // Acquired before state_mutex_. Held for the length of a call: shared while
  // parameters are read, exclusively while they change.
  SharedMutex step_lock_;
  // Its own members say what may run in parallel; step_lock_ enforces it.
  Gate gate_;

  mutable Mutex state_mutex_;
  std::shared_ptr<const LayerMembership> membership_
      ABSL_GUARDED_BY(state_mutex_);
  std::string lost_reason_ ABSL_GUARDED_BY(state_mutex_);
  StepState step_state_ ABSL_GUARDED_BY(state_mutex_);
  MicrobatchTable microbatches_ ABSL_GUARDED_BY(state_mutex_);
  bool importing_ ABSL_GUARDED_BY(state_mutex_);
  StepRouting step_routing_ ABSL_GUARDED_BY(state_mutex_);
  // MicrobatchKey::attempt of the newest forward.
  uint64_t last_attempt_ ABSL_GUARDED_BY(state_mutex_) = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_MOE_LAYER_H_
