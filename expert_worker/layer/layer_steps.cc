#include "expert_worker/layer/layer_steps.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard {

absl::Status LayerSteps::AdmitForward(uint64_t generation, uint64_t step) {
  SWITCHYARD_RETURN_IF_ERROR(AdmitGeneration(generation));
  SWITCHYARD_RETURN_IF_ERROR(CheckOpenStep(step));
  return CheckNotPrepared();
}

absl::Status LayerSteps::AdmitBackward(uint64_t generation) {
  SWITCHYARD_RETURN_IF_ERROR(AdmitGeneration(generation));
  return CheckNotPrepared();
}

absl::Status LayerSteps::Prepare(const StepKey& key) {
  SWITCHYARD_RETURN_IF_ERROR(AdmitGeneration(key.generation));
  SWITCHYARD_RETURN_IF_ERROR(CheckOpenStep(key.step));
  prepared_ = true;
  return absl::OkStatus();
}

absl::StatusOr<CommitOutcome> LayerSteps::AdmitCommit(const StepKey& key) {
  SWITCHYARD_RETURN_IF_ERROR(AdmitGeneration(key.generation));
  if (committed_steps_ > 0 && key.step == committed_steps_ - 1) {
    return CommitOutcome::kRepeated;
  }
  SWITCHYARD_RETURN_IF_ERROR(CheckOpenStep(key.step));
  if (!prepared_) {
    return absl::FailedPreconditionError(
        absl::StrCat("layer '", layer_, "': step ", key.step,
                     " is not prepared, expected PrepareStep first"));
  }
  return CommitOutcome::kApplied;
}

void LayerSteps::FinishCommit() {
  ++committed_steps_;
  prepared_ = false;
}

absl::Status LayerSteps::Abort(const StepKey& key) {
  SWITCHYARD_RETURN_IF_ERROR(AdmitGeneration(key.generation));
  SWITCHYARD_RETURN_IF_ERROR(CheckOpenStep(key.step));
  prepared_ = false;
  return absl::OkStatus();
}

absl::Status LayerSteps::AdmitGradientWrite() const {
  if (prepared_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "layer '", layer_, "': step ", committed_steps_,
      " is not prepared, gradients are written between PrepareStep and "
      "CommitStep"));
}

absl::Status LayerSteps::AdmitGeneration(uint64_t generation) {
  if (generation < generation_) {
    return absl::AbortedError(
        absl::StrCat("layer '", layer_, "': got generation ", generation,
                     ", expected at least ", generation_));
  }
  generation_ = generation;
  return absl::OkStatus();
}

absl::Status LayerSteps::CheckOpenStep(uint64_t step) const {
  if (step == committed_steps_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("layer '", layer_, "': got step ", step, ", expected ",
                   committed_steps_, ", the number of steps committed"));
}

absl::Status LayerSteps::CheckNotPrepared() const {
  if (!prepared_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("layer '", layer_, "': step ", committed_steps_,
                   " is prepared, its gradients are final"));
}

}  // namespace switchyard
