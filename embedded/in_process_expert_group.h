#ifndef SWITCHYARD_EMBEDDED_IN_PROCESS_EXPERT_GROUP_H_
#define SWITCHYARD_EMBEDDED_IN_PROCESS_EXPERT_GROUP_H_

#include <string>

#include "common/concurrency/thread_pool.h"
#include "expert_worker/worker.h"
#include "gateway/expert_group.h"

namespace switchyard {

// An ExpertGroup whose worker lives in the same process: calls run on a thread
// of their own, so that the groups of a batch compute in parallel. Thread-safe.
class InProcessExpertGroup final : public ExpertGroup {
 public:
  // `worker` must outlive the group, which joins its threads when it goes.
  explicit InProcessExpertGroup(Worker& worker);

  void LoadExperts(const LoadExpertsRequest& request, absl::Time deadline,
                   Done done) override;
  void UnloadExperts(const std::string& layer, absl::Time deadline,
                     Done done) override;
  void ReadExperts(const ReadExpertsRequest& request, absl::Time deadline,
                   DoneWith<std::vector<ParameterSlice>> done) override;
  void WriteExperts(const WriteExpertsRequest& request, absl::Time deadline,
                    Done done) override;
  void ImportExperts(const ImportExpertsRequest& request, absl::Time deadline,
                     Done done) override;
  void Forward(const ExpertForwardRequest& request, absl::Time deadline,
               DoneWith<ExpertForwardResult> done) override;
  void Backward(const ExpertBackwardRequest& request, absl::Time deadline,
                DoneWith<ExpertBackwardResult> done) override;
  void PrepareStep(const StepKey& key, absl::Time deadline,
                   DoneWith<PrepareStepResult> done) override;
  void CommitStep(const StepKey& key, float learning_rate, absl::Time deadline,
                  Done done) override;
  void AbortStep(const StepKey& key, absl::Time deadline, Done done) override;

 private:
  // Runs `call` and hands its result to `done`, unless the deadline has passed
  // while it waited or the queue is full.
  template <typename Result, typename Call>
  void Run(absl::Time deadline, std::function<void(Result)> done, Call call);

  Worker& worker_;
  ThreadPool threads_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EMBEDDED_IN_PROCESS_EXPERT_GROUP_H_
