#ifndef SWITCHYARD_GATEWAY_EXPERT_GROUP_H_
#define SWITCHYARD_GATEWAY_EXPERT_GROUP_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/api/expert_calls.h"

namespace switchyard {

// The seam between the gateway and the expert workers: a group of workers that
// share a fast path (today always one worker), addressed as one. Two
// implementations pass one conformance suite
// (tests/conformance/expert_group_test.cc): remote, by gRPC
// (services/remote_expert_group.h), and in-process
// (embedded/in_process_expert_group.h).
//
// Every call is asynchronous: it returns at once and runs `done` exactly once,
// possibly before it returns, on any thread; `done` must not block. Requests
// are borrowed and must stay alive until `done` runs. A call that is not
// finished by `deadline` ends with DEADLINE_EXCEEDED.
//
// Errors, whose messages name the worker: UNAVAILABLE when the group cannot be
// reached (its workers are then treated as lost); ABORTED when the group has
// seen a newer generation; others as each call says. Thread-safe.
class ExpertGroup {
 public:
  using Done = std::function<void(absl::Status)>;
  template <typename Result>
  using DoneWith = std::function<void(absl::StatusOr<Result>)>;

  virtual ~ExpertGroup() = default;

  // Makes experts with their initial parameters. ALREADY_EXISTS if the group
  // hosts some of that layer, RESOURCE_EXHAUSTED if memory does not suffice.
  virtual void LoadExperts(const LoadExpertsRequest& request,
                           absl::Time deadline, Done done) = 0;
  // Forgets the layer; OK if it is not there.
  virtual void UnloadExperts(const std::string& layer, absl::Time deadline,
                             Done done) = 0;

  // FAILED_PRECONDITION: a named expert is not hosted here. Results are in the
  // order of the request's ranges.
  virtual void ReadExperts(const ReadExpertsRequest& request,
                           absl::Time deadline,
                           DoneWith<std::vector<ParameterSlice>> done) = 0;
  // Applies all slices or none.
  virtual void WriteExperts(const WriteExpertsRequest& request,
                            absl::Time deadline, Done done) = 0;

  // Reads experts from a Hugging Face folder. PERMISSION_DENIED, NOT_FOUND or
  // FAILED_PRECONDITION: the worker may not, does not see it, or sees another.
  // INVALID_ARGUMENT and DATA_LOSS: what is in it does not fit the layer.
  virtual void ImportExperts(const ImportExpertsRequest& request,
                             absl::Time deadline, Done done) = 0;

  // FAILED_PRECONDITION: an expert is not hosted here; RESOURCE_EXHAUSTED: the
  // budget for kept activations, or the queue, is full.
  virtual void Forward(const ExpertForwardRequest& request, absl::Time deadline,
                       DoneWith<ExpertForwardResult> done) = 0;
  // FAILED_PRECONDITION: nothing is kept under that key.
  virtual void Backward(const ExpertBackwardRequest& request,
                        absl::Time deadline,
                        DoneWith<ExpertBackwardResult> done) = 0;

  // The three parts of a step: docs/architecture.md, "A training step".
  virtual void PrepareStep(const StepKey& key, absl::Time deadline,
                           DoneWith<PrepareStepResult> done) = 0;
  virtual void CommitStep(const StepKey& key, float learning_rate,
                          absl::Time deadline, Done done) = 0;
  virtual void AbortStep(const StepKey& key, absl::Time deadline,
                         Done done) = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_EXPERT_GROUP_H_
