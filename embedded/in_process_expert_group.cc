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

InProcessExpertGroup::InProcessExpertGroup(Worker& worker, GroupMember* member)
    : worker_(worker),
      member_(member),
      threads_({.name = absl::StrCat("calls of worker ", worker.worker_id()),
                .num_threads = kNumCallThreads}),
      group_threads_(
          {.name = absl::StrCat("group calls of worker ", worker.worker_id()),
           .num_threads = member == nullptr ? 0 : GroupMember::kNumThreads}) {}

template <typename Result, typename Work>
void InProcessExpertGroup::Run(ThreadPool& threads, const CallContext& call,
                               std::function<void(Result)> done, Work work) {
  // Shared: both the task and, where it is refused, this function need it.
  auto shared_done =
      std::make_shared<std::function<void(Result)>>(std::move(done));
  const absl::Status scheduled = threads.Schedule(
      [this, shared_done, call, work = std::move(work)]() mutable {
        const absl::Status waited_for = call.Check(Clock::Real());
        if (!waited_for.ok()) return (*shared_done)(Named(worker_, waited_for));
        (*shared_done)(Named(worker_, work()));
      });
  if (!scheduled.ok()) (*shared_done)(Named(worker_, scheduled));
}

void InProcessExpertGroup::LoadExperts(const LoadExpertsRequest& request,
                                       const CallContext& call, Done done) {
  Run(threads_, call, std::move(done),
      [this, &request] { return worker_.LoadExperts(request); });
}

void InProcessExpertGroup::UnloadExperts(const std::string& layer,
                                         const CallContext& call, Done done) {
  Run(threads_, call, std::move(done),
      [this, &layer] { return worker_.UnloadExperts(layer); });
}

void InProcessExpertGroup::ReadExperts(
    const ReadExpertsRequest& request, const CallContext& call,
    DoneWith<std::vector<ParameterSlice>> done) {
  Run(threads_, call, std::move(done),
      [this, &request] { return worker_.ReadExperts(request); });
}

void InProcessExpertGroup::WriteExperts(const WriteExpertsRequest& request,
                                        const CallContext& call, Done done) {
  Run(threads_, call, std::move(done),
      [this, &request] { return worker_.WriteExperts(request); });
}

void InProcessExpertGroup::ImportExperts(const ImportExpertsRequest& request,
                                         const CallContext& call, Done done) {
  Run(threads_, call, std::move(done),
      [this, &request] { return worker_.ImportExperts(request); });
}

void InProcessExpertGroup::Forward(const ExpertForwardRequest& request,
                                   const CallContext& call,
                                   DoneWith<ExpertForwardResult> done) {
  if (request.group.has_value()) {
    return RunMember(group_threads_, call, std::move(done),
                     [&request, call](GroupMember& member) {
                       return member.Forward(request, call);
                     });
  }
  Run(threads_, call, std::move(done),
      [this, &request, call] { return worker_.Forward(request, call); });
}

void InProcessExpertGroup::Backward(const ExpertBackwardRequest& request,
                                    const CallContext& call,
                                    DoneWith<ExpertBackwardResult> done) {
  if (request.group.has_value()) {
    return RunMember(group_threads_, call, std::move(done),
                     [&request, call](GroupMember& member) {
                       return member.Backward(request, call);
                     });
  }
  Run(threads_, call, std::move(done),
      [this, &request, call] { return worker_.Backward(request, call); });
}

void InProcessExpertGroup::DropMicrobatch(const std::string& layer,
                                          const MicrobatchKey& key,
                                          const CallContext& call, Done done) {
  Run(threads_, call, std::move(done),
      [this, &layer, key] { return worker_.DropMicrobatch(layer, key); });
}

void InProcessExpertGroup::PrepareStep(const StepKey& key,
                                       const CallContext& call,
                                       DoneWith<PrepareStepResult> done) {
  Run(threads_, call, std::move(done),
      [this, &key] { return worker_.PrepareStep(key); });
}

void InProcessExpertGroup::CommitStep(const StepKey& key, float learning_rate,
                                      const CallContext& call, Done done) {
  Run(threads_, call, std::move(done), [this, &key, learning_rate] {
    return worker_.CommitStep(key, learning_rate);
  });
}

void InProcessExpertGroup::AbortStep(const StepKey& key,
                                     const CallContext& call, Done done) {
  Run(threads_, call, std::move(done),
      [this, &key] { return worker_.AbortStep(key); });
}

template <typename Result, typename Work>
void InProcessExpertGroup::RunMember(ThreadPool& threads,
                                     const CallContext& call,
                                     std::function<void(Result)> done,
                                     Work work) {
  if (member_ == nullptr) {
    return done(Named(worker_, absl::UnimplementedError("is in no group")));
  }
  Run(threads, call, std::move(done),
      [this, work = std::move(work)]() -> Result { return work(*member_); });
}

void InProcessExpertGroup::JoinGroup(const JoinGroupRequest& request,
                                     const CallContext& call,
                                     DoneWith<JoinGroupResult> done) {
  RunMember(threads_, call, std::move(done),
            [&request](GroupMember& member) { return member.Join(request); });
}

void InProcessExpertGroup::ConnectGroup(const ConnectGroupRequest& request,
                                        const CallContext& call, Done done) {
  RunMember(group_threads_, call, std::move(done),
            [&request, call](GroupMember& member) {
              return member.Connect(request, call);
            });
}

void InProcessExpertGroup::LeaveGroup(uint64_t group_id,
                                      const CallContext& call, Done done) {
  RunMember(threads_, call, std::move(done),
            [group_id](GroupMember& member) { return member.Leave(group_id); });
}

void InProcessExpertGroup::CancelGroupCall(uint64_t group_id, uint64_t sequence,
                                           const CallContext& call, Done done) {
  RunMember(threads_, call, std::move(done),
            [group_id, sequence](GroupMember& member) {
              return member.Cancel(group_id, sequence);
            });
}

}  // namespace switchyard
