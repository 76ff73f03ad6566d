#ifndef SWITCHYARD_GATEWAY_EXPERT_GROUP_H_
#define SWITCHYARD_GATEWAY_EXPERT_GROUP_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"

namespace switchyard {

// The seam between the gateway and the expert workers: one worker, which may
// take part in calls of a group. Two
// implementations pass one conformance suite
// (tests/conformance/expert_group_test.cc): remote, by gRPC
// (services/remote_expert_group.h), and in-process
// (embedded/in_process_expert_group.h).
//
// Every call is asynchronous: it returns at once and runs `done` exactly once,
// possibly before it returns, on any thread; `done` must not block. Requests
// are borrowed and must stay alive until `done` runs. A call that is not
// finished by its deadline ends with DEADLINE_EXCEEDED, one that is cancelled
// soon with CANCELLED: the workers stop, and give back its memory.
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
                           const CallContext& call, Done done) = 0;
  // Forgets the layer; OK if it is not there.
  virtual void UnloadExperts(const std::string& layer, const CallContext& call,
                             Done done) = 0;

  // FAILED_PRECONDITION: a named expert is not hosted here. Results are in the
  // order of the request's ranges.
  virtual void ReadExperts(const ReadExpertsRequest& request,
                           const CallContext& call,
                           DoneWith<std::vector<ParameterSlice>> done) = 0;
  // Applies all slices or none.
  virtual void WriteExperts(const WriteExpertsRequest& request,
                            const CallContext& call, Done done) = 0;

  // Reads experts from a Hugging Face folder. PERMISSION_DENIED, NOT_FOUND or
  // FAILED_PRECONDITION: the worker may not, does not see it, or sees another.
  // INVALID_ARGUMENT and DATA_LOSS: what is in it does not fit the layer.
  virtual void ImportExperts(const ImportExpertsRequest& request,
                             const CallContext& call, Done done) = 0;

  // Memory for the tokens of a request, where the group needs them copied no
  // further.
  virtual Tensor AllocateTokens(const Shape& shape) {
    return Tensor::Uninitialized(shape);
  }
  // FAILED_PRECONDITION: an expert is not hosted here; RESOURCE_EXHAUSTED: the
  // budget for kept activations, or the queue, is full.
  virtual void Forward(const ExpertForwardRequest& request,
                       const CallContext& call,
                       DoneWith<ExpertForwardResult> done) = 0;
  // Forgets what a Forward has kept, or not yet kept, under `key`; OK if there
  // is nothing.
  virtual void DropMicrobatch(const std::string& layer,
                              const MicrobatchKey& key, const CallContext& call,
                              Done done) = 0;
  // FAILED_PRECONDITION: nothing is kept under that key. A call that fails has
  // added nothing to the gradients of this group.
  virtual void Backward(const ExpertBackwardRequest& request,
                        const CallContext& call,
                        DoneWith<ExpertBackwardResult> done) = 0;

  // The three parts of a step: docs/architecture.md, "A training step".
  virtual void PrepareStep(const StepKey& key, const CallContext& call,
                           DoneWith<PrepareStepResult> done) = 0;
  virtual void CommitStep(const StepKey& key, float learning_rate,
                          const CallContext& call, Done done) = 0;
  virtual void AbortStep(const StepKey& key, const CallContext& call,
                         Done done) = 0;

  // Membership of a group of workers that exchange tokens among themselves
  // (gateway/group/group_link.h), whose calls are Forward and Backward with
  // `group` set: those are not cancelled by their CallContext, and their errors
  // say nothing of whether this worker is lost. UNIMPLEMENTED where the worker
  // takes part in none.
  virtual void JoinGroup(const JoinGroupRequest& request,
                         const CallContext& call,
                         DoneWith<JoinGroupResult> done) = 0;
  virtual void ConnectGroup(const ConnectGroupRequest& request,
                            const CallContext& call, Done done) = 0;
  // Breaks the group for all its members; OK if this is none.
  virtual void LeaveGroup(uint64_t group_id, const CallContext& call,
                          Done done) = 0;
  // Nobody waits for that call of the group any more.
  virtual void CancelGroupCall(uint64_t group_id, uint64_t sequence,
                               const CallContext& call, Done done) = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_EXPERT_GROUP_H_
