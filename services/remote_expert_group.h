#ifndef SWITCHYARD_SERVICES_REMOTE_EXPERT_GROUP_H_
#define SWITCHYARD_SERVICES_REMOTE_EXPERT_GROUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/expert_group.h"

namespace prometheus {
class Counter;
}

namespace switchyard {

class OutboundCalls;

// Memory that a gateway shares with a worker on its host.
struct WorkerMemory {
  // Of the region; 0: none.
  int64_t region_bytes = 0;
  // As in MemoryLinkOptions.
  prometheus::Counter* shared_calls = nullptr;
  prometheus::Counter* inline_calls = nullptr;
};

// A worker in another process, by gRPC, on three connections: two for
// what carries tensors, and one for the rest, which must never wait behind
// them.
//
// Requests are encoded before a call returns; results are decoded, and `done`
// runs, on gRPC's threads. Statuses are the worker's own, prefixed with its
// name. UNAVAILABLE stands for all that says nothing about the request: no
// connection, a connection that broke, a worker that was shutting down. A
// response that does not decode is INTERNAL. Destruction does not wait for
// calls in progress; they end as they would have. Thread-safe.
class RemoteExpertGroup final : public ExpertGroup {
 public:
  // Does not connect yet: the first call does. `calls` may be null: then
  // nothing but its own CallContext ends a call early. `memory` is shared if
  // the address is a unix socket: tokens and answers then stay in it.
  RemoteExpertGroup(const std::string& worker_id, const std::string& address,
                    int64_t max_message_bytes,
                    std::shared_ptr<OutboundCalls> calls = nullptr,
                    const WorkerMemory& memory = {});
  ~RemoteExpertGroup() override;

  void LoadExperts(const LoadExpertsRequest& request, const CallContext& call,
                   Done done) override;
  void UnloadExperts(const std::string& layer, const CallContext& call,
                     Done done) override;
  void ReadExperts(const ReadExpertsRequest& request, const CallContext& call,
                   DoneWith<std::vector<ParameterSlice>> done) override;
  void WriteExperts(const WriteExpertsRequest& request, const CallContext& call,
                    Done done) override;
  void ImportExperts(const ImportExpertsRequest& request,
                     const CallContext& call, Done done) override;
  Tensor AllocateTokens(const Shape& shape) override;
  void Forward(const ExpertForwardRequest& request, const CallContext& call,
               DoneWith<ExpertForwardResult> done) override;
  void Backward(const ExpertBackwardRequest& request, const CallContext& call,
                DoneWith<ExpertBackwardResult> done) override;
  void DropMicrobatch(const std::string& layer, const MicrobatchKey& key,
                      const CallContext& call, Done done) override;
  void PrepareStep(const StepKey& key, const CallContext& call,
                   DoneWith<PrepareStepResult> done) override;
  void CommitStep(const StepKey& key, float learning_rate,
                  const CallContext& call, Done done) override;
  void AbortStep(const StepKey& key, const CallContext& call,
                 Done done) override;
  void JoinGroup(const JoinGroupRequest& request, const CallContext& call,
                 DoneWith<JoinGroupResult> done) override;
  void ConnectGroup(const ConnectGroupRequest& request, const CallContext& call,
                    Done done) override;
  void LeaveGroup(uint64_t group_id, const CallContext& call,
                  Done done) override;
  void CancelGroupCall(uint64_t group_id, uint64_t sequence,
                       const CallContext& call, Done done) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_REMOTE_EXPERT_GROUP_H_
