#ifndef SWITCHYARD_GATEWAY_TRAINING_STEP_STATE_H_
#define SWITCHYARD_GATEWAY_TRAINING_STEP_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"

namespace switchyard {

// Where a layer's training stands: which step is open, whether it can still be
// committed. A plain value without threads or clock. Thread-compatible.
//
//   clean --Forward(train)--> dirty --Commit--> clean, step + 1
//   dirty --a worker lost or a Backward failed--> broken --Discard--> clean
class StepState {
 public:
  // The open step; steps 0 ... step - 1 are committed.
  uint64_t step() const { return step_; }

  // A train-mode forward begins. ABORTED while the step is broken.
  absl::Status OnForward();
  // A microbatch's gradients are in.
  void OnBackward() { ++num_backward_; }
  // Part of the step's gradients or activations is gone. No effect on a step
  // in which nothing has happened yet.
  void Break(const std::string& reason);

  enum class Action { kCommit, kRepeatAnswer };
  // Whether a Step call may commit, given the microbatches that are open.
  // ABORTED: the step is broken; FAILED_PRECONDITION: another step is open, a
  // microbatch is open, or none was sent backward.
  absl::StatusOr<Action> CheckStep(
      uint64_t step, const std::vector<uint32_t>& open_microbatches) const;
  // Whether a call for a microbatch of `step` belongs to the open step.
  // ABORTED while it is broken.
  absl::Status CheckMicrobatchStep(uint64_t step) const;

  // Ends the step; `result.step` becomes the open one.
  void Commit(const StepResult& result);
  void Discard();

  // Of the newest commit.
  const std::optional<StepResult>& last_result() const { return last_result_; }
  // Why the open step cannot be committed, if so.
  const std::optional<std::string>& broken_reason() const {
    return broken_reason_;
  }
  bool clean() const { return !dirty_ && !broken_reason_.has_value(); }

 private:
  absl::Status Broken() const;

  uint64_t step_ = 0;
  // Some train-mode forward has happened in this step.
  bool dirty_ = false;
  int64_t num_backward_ = 0;
  std::optional<std::string> broken_reason_;
  std::optional<StepResult> last_result_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_TRAINING_STEP_STATE_H_
