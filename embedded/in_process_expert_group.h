#ifndef SWITCHYARD_EMBEDDED_IN_PROCESS_EXPERT_GROUP_H_
#define SWITCHYARD_EMBEDDED_IN_PROCESS_EXPERT_GROUP_H_

#include <string>

#include "common/concurrency/thread_pool.h"
#include "expert_worker/group/group_member.h"
#include "expert_worker/worker.h"
#include "gateway/expert_group.h"

namespace switchyard {

// An ExpertGroup whose worker lives in the same process: calls run on a thread
// of their own, so that the groups of a batch compute in parallel. Thread-safe.
class InProcessExpertGroup final : public ExpertGroup {
 public:
  // Both must outlive the group, which joins its threads when it goes.
  // `member`: null for a worker that takes part in no group.
  explicit InProcessExpertGroup(Worker& worker, GroupMember* member = nullptr);

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
  // Runs `work` and hands its result to `done`, unless the call is over by its
  // turn or the queue is full.
  template <typename Result, typename Work>
  void Run(ThreadPool& threads, const CallContext& call,
           std::function<void(Result)> done, Work work);
  // The same with `work(member)`; UNIMPLEMENTED without one.
  template <typename Result, typename Work>
  void RunMember(ThreadPool& threads, const CallContext& call,
                 std::function<void(Result)> done, Work work);

  Worker& worker_;
  GroupMember* const member_;
  ThreadPool threads_;
  // Calls of groups wait for one another.
  ThreadPool group_threads_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EMBEDDED_IN_PROCESS_EXPERT_GROUP_H_
