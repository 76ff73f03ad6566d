#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_EXPERT_LAYER_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_EXPERT_LAYER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/concurrency/thread_pool.h"
#include "common/model/layer_spec.h"
#include "expert_worker/layer/layer_compute.h"
#include "expert_worker/layer/layer_steps.h"
#include "expert_worker/store/byte_budget.h"
#include "expert_worker/store/expert_store.h"
#include "expert_worker/store/kept_activations.h"

namespace switchyard {

// What the layers of a worker share. All must outlive them.
struct LayerResources {
  const std::string& worker_id;
  Clock& clock;
  ThreadPool& pool;
  KeptActivations& kept;
  // Bytes of `kept`, and of what calls in progress allocate beside.
  ByteBudget& kept_budget;
  ByteBudget& working_budget;
};

// One layer as a worker hosts it: its experts and where their training stands.
// Errors as gateway/expert_group.h says. Calls check first and change something
// only then. A layer that is inference_only refuses calls of training
// (FAILED_PRECONDITION) but for AbortStep, which has nothing to throw away.
//
// Forward, Backward and reads of a layer run side by side; what changes
// parameters or ends a step waits for them and runs alone. Gradients of
// Backwards that run at the same time are added in no fixed order; one after
// the other, they are reproducible. Thread-safe.
class ExpertLayer {
 public:
  struct Options {
    LayerSpec spec;
    uint64_t generation = 0;
    // Of this load of the layer, see KeptActivations.
    KeptActivations::LayerId id = 0;
    std::unique_ptr<ExpertStore> store;
    // Holds the bytes of `store`.
    ByteReservation parameter_bytes;
  };

  ExpertLayer(Options options, LayerResources resources);
  // Forgets what is kept for it.
  ~ExpertLayer();
  ExpertLayer(const ExpertLayer&) = delete;
  ExpertLayer& operator=(const ExpertLayer&) = delete;

  absl::StatusOr<std::vector<ParameterSlice>> Read(
      const ReadExpertsRequest& request) const
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);
  absl::Status Write(const WriteExpertsRequest& request)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);

  // Reads all parameters of the named experts, each hosted here, from a folder.
  // INVALID_ARGUMENT for values that are not finite, after which those of the
  // named experts are undefined, and for an expert named twice.
  absl::Status Import(const CheckpointFolder& folder,
                      const std::vector<int32_t>& expert_ids)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);

  absl::StatusOr<ExpertForwardResult> Forward(
      const ExpertForwardRequest& request, const CallContext& call)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);
  absl::StatusOr<ExpertBackwardResult> Backward(
      const ExpertBackwardRequest& request, const CallContext& call)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);
  void DropMicrobatch(const MicrobatchKey& key) {
    resources_.kept.Drop(id_, key);
  }

  absl::StatusOr<PrepareStepResult> PrepareStep(const StepKey& key)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);
  absl::StatusOr<CommitOutcome> CommitStep(const StepKey& key,
                                           float learning_rate)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);
  absl::Status AbortStep(const StepKey& key)
      ABSL_LOCKS_EXCLUDED(parameters_mutex_, steps_mutex_);

  HostedLayer GetStatus() const ABSL_LOCKS_EXCLUDED(steps_mutex_);

 private:
  // RESOURCE_EXHAUSTED naming the layer.
  absl::StatusOr<ByteReservation> Reserve(ByteBudget& budget,
                                          int64_t num_bytes) const;
  absl::StatusOr<std::vector<int32_t>> FindHostedExperts(
      const std::vector<int32_t>& route_experts) const
      ABSL_SHARED_LOCKS_REQUIRED(parameters_mutex_);
  // Memory for a Forward's batch, counted where it will stay; in train mode
  // only if the step takes another microbatch.
  absl::StatusOr<std::shared_ptr<KeptBatch>> MakeBatch(
      const ExpertForwardRequest& request)
      ABSL_SHARED_LOCKS_REQUIRED(parameters_mutex_)
          ABSL_LOCKS_EXCLUDED(steps_mutex_);
  // FAILED_PRECONDITION, naming `call`, where the layer is inference_only.
  absl::Status CheckTrains(absl::string_view call) const;
  absl::Status NothingKept(const MicrobatchKey& key) const;

  const LayerSpec spec_;
  const KeptActivations::LayerId id_;
  const std::vector<int32_t> expert_ids_;
  const LayerResources resources_;
  const LayerCompute compute_;
  const ByteReservation parameter_bytes_;

  // Held shared by whoever uses parameters or adds gradients, exclusively by
  // whoever changes parameters or ends a step. Taken before steps_mutex_.
  mutable SharedMutex parameters_mutex_;
  const std::unique_ptr<ExpertStore> store_
      ABSL_PT_GUARDED_BY(parameters_mutex_);
  // For a moment only. Steps are prepared, committed and aborted by holders of
  // parameters_mutex_ alone, so that what a shared holder was told stays true.
  mutable Mutex steps_mutex_ ABSL_ACQUIRED_AFTER(parameters_mutex_);
  LayerSteps steps_ ABSL_GUARDED_BY(steps_mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_EXPERT_LAYER_H_
