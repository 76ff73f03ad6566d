#include "gateway/training/step_state.h"

#include "absl/strings/str_cat.h"

namespace switchyard {

absl::Status StepState::OnForward() {
  if (broken_reason_.has_value()) return Broken();
  dirty_ = true;
  return absl::OkStatus();
}

void StepState::Break(const std::string& reason) {
  if (dirty_ && !broken_reason_.has_value()) broken_reason_ = reason;
}

absl::StatusOr<StepState::Action> StepState::CheckStep(
    uint64_t step, const std::vector<uint32_t>& open_microbatches) const {
  if (last_result_.has_value() && step + 1 == last_result_->step &&
      last_result_->step == step_) {
    return Action::kRepeatAnswer;
  }
  if (step != step_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "step: got ", step, ", expected ", step_, ", the step that is open"));
  }
  if (broken_reason_.has_value()) return Broken();
  if (!open_microbatches.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", step_, ": microbatch ", open_microbatches.front(),
                     " is open (", open_microbatches.size(),
                     " in all), expected a Backward for each, or discard"));
  }
  if (num_backward_ == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("step ", step_,
                     ": no microbatch was sent backward, expected at least 1"));
  }
  return Action::kCommit;
}

absl::Status StepState::CheckMicrobatchStep(uint64_t step) const {
  if (step != step_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "step: got ", step, ", expected ", step_, ", the step that is open"));
  }
  if (broken_reason_.has_value()) return Broken();
  return absl::OkStatus();
}

void StepState::Commit(const StepResult& result) {
  last_result_ = result;
  step_ = result.step;
  Discard();
}

void StepState::Discard() {
  dirty_ = false;
  num_backward_ = 0;
  broken_reason_.reset();
}

absl::Status StepState::Broken() const {
  return absl::AbortedError(
      absl::StrCat("step ", step_, " cannot be committed: ", *broken_reason_,
                   "; send Step with discard, then repeat step ", step_,
                   " from its first microbatch"));
}

}  // namespace switchyard
