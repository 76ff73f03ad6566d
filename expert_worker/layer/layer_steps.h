#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_LAYER_STEPS_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_LAYER_STEPS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"

namespace switchyard {

enum class CommitOutcome {
  // The update is to be applied, or has been.
  kApplied,
  // A repeat of a committed step: nothing is to be done.
  kRepeated,
};

// Where a layer's training stands on one worker: a plain value that says which
// calls may go on. Steps count from 0; step s is the open one after s commits.
//
//   open --Prepare--> prepared --Commit--> open (next step)
//     ^------Abort-------'
//
// Each function refuses (ABORTED) a generation lower than any it has seen, and
// FAILED_PRECONDITION for what does not fit the state. Refused calls change
// nothing but, where their generation is new, that. Thread-compatible.
class LayerSteps {
 public:
  LayerSteps(std::string layer, uint64_t generation)
      : layer_(std::move(layer)), generation_(generation) {}

  // A Forward in train mode: of the open step, not yet prepared.
  absl::Status AdmitForward(uint64_t generation, uint64_t step);
  // A Backward: of a step not yet prepared. (Only microbatches of the open step
  // are kept at all.)
  absl::Status AdmitBackward(uint64_t generation);
  // Of the open step; repeats are fine.
  absl::Status Prepare(const StepKey& key);
  // Of the open step, once prepared, or a repeat of the last one. Changes
  // nothing but the generation: see FinishCommit.
  absl::StatusOr<CommitOutcome> AdmitCommit(const StepKey& key);
  // After an update that AdmitCommit let pass.
  void FinishCommit();
  // Of the open step, prepared or not. An abort of a committed step would come
  // too late, and must not take the next step's gradients with it.
  absl::Status Abort(const StepKey& key);
  // Gradients may be written between Prepare and Commit only: later they would
  // be taken for the next step's.
  absl::Status AdmitGradientWrite() const;

  uint64_t committed_steps() const { return committed_steps_; }

 private:
  absl::Status AdmitGeneration(uint64_t generation);
  absl::Status CheckOpenStep(uint64_t step) const;
  absl::Status CheckNotPrepared() const;

  std::string layer_;
  // Highest seen.
  uint64_t generation_;
  uint64_t committed_steps_ = 0;
  bool prepared_ = false;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_LAYER_STEPS_H_
