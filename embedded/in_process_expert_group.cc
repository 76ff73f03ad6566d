#include "embedded/in_process_expert_group.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"

namespace switchyard {
namespace {

// As many calls of one worker as run at the same time.
constexpr int kNumCallThreads = 2;

absl::Status Named(const Worker& worker, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("worker ", worker.worker_id(),
                                                  ": ", status.message()));
}

template <typename T>
absl::StatusOr<T> Named(const Worker& worker, absl::StatusOr<T> result) {
  if (result.ok()) return result;
  return Named(worker, result.status());
}

}  // namespace

InProcessExpertGroup::InProcessExpertGroup(Worker& worker)
    : worker_(worker),
      threads_({.name = absl::StrCat("calls of worker ", worker.worker_id()),
                .num_threads = kNumCallThreads}) {}

template <typename Result, typename Call>
void InProcessExpertGroup::Run(absl::Time deadline,
                               std::function<void(Result)> done, Call call) {
  // Shared: both the task and, where it is refused, this function need it.
  auto shared_done =
      std::make_shared<std::function<void(Result)>>(std::move(done));
  const absl::Status scheduled = threads_.Schedule(
      [this, shared_done, deadline, call = std::move(call)]() mutable {
        if (Clock::Real().Now() > deadline) {
          (*shared_done)(
              Named(worker_, absl::DeadlineExceededError(
                                 "the deadline passed before it began")));
          return;
        }
        (*shared_done)(Named(worker_, call()));
      });
  if (!scheduled.ok()) (*shared_done)(Named(worker_, scheduled));
}

void InProcessExpertGroup::LoadExperts(const LoadExpertsRequest& request,
                                       absl::Time deadline, Done done) {
  Run(deadline, std::move(done),
      [this, &request] { return worker_.LoadExperts(request); });
}

void InProcessExpertGroup::UnloadExperts(const std::string& layer,
                                         absl::Time deadline, Done done) {
  Run(deadline, std::move(done),
      [this, &layer] { return worker_.UnloadExperts(layer); });
}

void InProcessExpertGroup::ReadExperts(
    const ReadExpertsRequest& request, absl::Time deadline,
    DoneWith<std::vector<ParameterSlice>> done) {
  Run(deadline, std::move(done),
      [this, &request] { return worker_.ReadExperts(request); });
}

void InProcessExpertGroup::WriteExperts(const WriteExpertsRequest& request,
                                        absl::Time deadline, Done done) {
  Run(deadline, std::move(done),
      [this, &request] { return worker_.WriteExperts(request); });
}

void InProcessExpertGroup::ImportExperts(const ImportExpertsRequest& request,
                                         absl::Time deadline, Done done) {
  Run(deadline, std::move(done),
      [this, &request] { return worker_.ImportExperts(request); });
}

void InProcessExpertGroup::Forward(const ExpertForwardRequest& request,
                                   absl::Time deadline,
                                   DoneWith<ExpertForwardResult> done) {
  Run(deadline, std::move(done),
      [this, &request] { return worker_.Forward(request); });
}

void InProcessExpertGroup::Backward(const ExpertBackwardRequest& request,
                                    absl::Time deadline,
                                    DoneWith<ExpertBackwardResult> done) {
  Run(deadline, std::move(done),
      [this, &request] { return worker_.Backward(request); });
}

void InProcessExpertGroup::PrepareStep(const StepKey& key, absl::Time deadline,
                                       DoneWith<PrepareStepResult> done) {
  Run(deadline, std::move(done),
      [this, &key] { return worker_.PrepareStep(key); });
}

void InProcessExpertGroup::CommitStep(const StepKey& key, float learning_rate,
                                      absl::Time deadline, Done done) {
  Run(deadline, std::move(done), [this, &key, learning_rate] {
    return worker_.CommitStep(key, learning_rate);
  });
}

void InProcessExpertGroup::AbortStep(const StepKey& key, absl::Time deadline,
                                     Done done) {
  Run(deadline, std::move(done),
      [this, &key] { return worker_.AbortStep(key); });
}

}  // namespace switchyard
