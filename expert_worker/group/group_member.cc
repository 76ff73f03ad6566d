#include "expert_worker/group/group_member.h"

#include <algorithm>
#include <stop_token>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "expert_worker/group/group_passes.h"
#include "expert_worker/group/member_exchange.h"

namespace switchyard {

// One membership, and whose turn it is in it.
class GroupMember::Membership {
 public:
  Membership(uint64_t group_id, std::unique_ptr<Collective> collective)
      : group_id_(group_id), collective_(std::move(collective)) {}

  uint64_t group_id() const { return group_id_; }
  Collective& collective() { return *collective_; }

  // Waits for the call's turn, which EndTurn must end. UNAVAILABLE: the group
  // is broken, or it was not its turn until `deadline`, which breaks it.
  absl::StatusOr<std::stop_token> AwaitTurn(uint64_t sequence,
                                            absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      MutexLock lock(mutex_);
      while (!broken_ && sequence > next_sequence_) {
        const absl::Duration left = deadline - Clock::Real().Now();
        if (left <= absl::ZeroDuration()) break;
        turn_ended_.WaitFor(mutex_, std::min(left, absl::Hours(1)));
      }
      if (!broken_ && sequence == next_sequence_) {
        return CancellationOf(sequence).get_token();
      }
    }
    Break();
    return absl::UnavailableError(absl::StrCat(
        "call ", sequence, " of group ", group_id_, " has no turn any more"));
  }

  void EndTurn() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    cancellations_.erase(next_sequence_);
    ++next_sequence_;
    turn_ended_.NotifyAll();
  }

  void Cancel(uint64_t sequence) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::stop_source cancellation;
    {
      MutexLock lock(mutex_);
      // It has ended, or nobody may have sent it.
      if (sequence < next_sequence_ || sequence - next_sequence_ >= kMaxCalls) {
        return;
      }
      cancellation = CancellationOf(sequence);
    }
    cancellation.request_stop();
  }

  void Break() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      MutexLock lock(mutex_);
      broken_ = true;
      turn_ended_.NotifyAll();
    }
    collective_->Abort();
  }

 private:
  std::stop_source& CancellationOf(uint64_t sequence)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cancellations_[sequence];
  }

  const uint64_t group_id_;
  const std::unique_ptr<Collective> collective_;

  Mutex mutex_;
  CondVar turn_ended_;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of the calls from next_sequence_ on that run or were cancelled.
  absl::btree_map<uint64_t, std::stop_source> cancellations_
      ABSL_GUARDED_BY(mutex_);
};

GroupMember::GroupMember(Worker& worker, CollectiveFactory make_collective)
    : worker_(worker), make_collective_(std::move(make_collective)) {}

GroupMember::~GroupMember() { LeaveAll(); }

absl::StatusOr<JoinGroupResult> GroupMember::Join(
    const JoinGroupRequest& request) {
  if (Find(request.group_id).ok()) {
    return absl::AlreadyExistsError(absl::StrCat(
        "group_id: got ", request.group_id, ", expected one not in use"));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(std::unique_ptr<Collective> collective,
                              make_collective_(request.rank, request.size));
  const JoinGroupResult result = {.address = collective->address(),
                                  .max_calls = kMaxCalls};
  std::shared_ptr<Membership> oldest;
  {
    MutexLock lock(mutex_);
    if (memberships_.size() >= size_t{kMaxMemberships}) {
      oldest = memberships_.begin()->second;
      memberships_.erase(memberships_.begin());
    }
    memberships_[next_number_++] =
        std::make_shared<Membership>(request.group_id, std::move(collective));
  }
  if (oldest != nullptr) oldest->Break();
  return result;
}

absl::Status GroupMember::Connect(const ConnectGroupRequest& request,
                                  const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Find(request.group_id));
  return membership->collective().Connect(request.addresses, call.deadline());
}

absl::Status GroupMember::Leave(uint64_t group_id) {
  std::shared_ptr<Membership> left;
  {
    MutexLock lock(mutex_);
    const auto it = std::find_if(memberships_.begin(), memberships_.end(),
                                 [group_id](const auto& entry) {
                                   return entry.second->group_id() == group_id;
                                 });
    if (it == memberships_.end()) return absl::OkStatus();
    left = it->second;
    memberships_.erase(it);
  }
  left->Break();
  return absl::OkStatus();
}

void GroupMember::LeaveAll() {
  absl::btree_map<uint64_t, std::shared_ptr<Membership>> left;
  {
    MutexLock lock(mutex_);
    left.swap(memberships_);
  }
  for (const auto& [number, membership] : left) membership->Break();
}

absl::StatusOr<ExpertForwardResult> GroupMember::Forward(
    const ExpertForwardRequest& request, const CallContext& call) {
  return Run<ExpertForwardResult>(request, call, GroupForward);
}

absl::StatusOr<ExpertBackwardResult> GroupMember::Backward(
    const ExpertBackwardRequest& request, const CallContext& call) {
  return Run<ExpertBackwardResult>(request, call, GroupBackward);
}

absl::Status GroupMember::Cancel(uint64_t group_id, uint64_t sequence) {
  const auto membership = Find(group_id);
  if (membership.ok()) (*membership)->Cancel(sequence);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<GroupMember::Membership>> GroupMember::Find(
    uint64_t group_id) const {
  MutexLock lock(mutex_);
  for (const auto& [number, membership] : memberships_) {
    if (membership->group_id() == group_id) return membership;
  }
  return absl::UnavailableError(absl::StrCat("worker ", worker_.worker_id(),
                                             " is not in group ", group_id));
}

template <typename Result, typename Request, typename Pass>
absl::StatusOr<Result> GroupMember::Run(const Request& request,
                                        const CallContext& call, Pass pass) {
  const GroupCall& group = *request.group;
  SWITCHYARD_ASSIGN_OR_RETURN(const auto membership, Find(group.group_id));
  SWITCHYARD_ASSIGN_OR_RETURN(
      std::stop_token cancellation,
      membership->AwaitTurn(group.sequence, call.deadline()));
  // Stays so if the pass throws: the others would wait for what never comes.
  bool is_broken = true;
  const absl::Cleanup end_turn = [&] {
    if (is_broken) membership->Break();
    membership->EndTurn();
  };
  MemberExchange exchange(membership->collective(), group.sequence,
                          call.deadline());
  absl::StatusOr<Result> result =
      pass(worker_, exchange, request,
           CallContext(group.deadline, std::move(cancellation)));
  is_broken = absl::IsUnavailable(result.status());
  return result;
}

}  // namespace switchyard
