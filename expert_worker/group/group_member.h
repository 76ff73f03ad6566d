#ifndef SWITCHYARD_EXPERT_WORKER_GROUP_GROUP_MEMBER_H_
#define SWITCHYARD_EXPERT_WORKER_GROUP_GROUP_MEMBER_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "common/base/mutex.h"
#include "expert_worker/collective/collective.h"
#include "expert_worker/worker.h"

namespace switchyard {

// A worker as a member of groups. A gateway forms a group: every member joins
// under a number that names this membership and no other; all addresses are
// given to all, who connect. From then on every call goes to all members at
// once; they run in the order of their numbers (GroupCall), so that no two
// members can wait for each other in different calls, and exchange tokens by
// the group's Collective (group_passes.h).
//
// Errors of Forward and Backward: UNAVAILABLE, if the group is broken or this
// worker is not in it; anything else is what some member failed with, all
// members answer it, and the group is intact. Thread-safe.
class GroupMember {
 public:
  // Calls of a group that may be here at a time: one runs, one waits.
  static constexpr int kMaxCalls = 2;
  // Memberships at a time: the oldest goes when another comes, as those of
  // gateways that have died.
  static constexpr int kMaxMemberships = 4;
  // That all calls of all memberships, and a Connect of each, find a thread:
  // one that waited for another to be done might wait for itself.
  static constexpr int kNumThreads = (kMaxCalls + 1) * kMaxMemberships;

  // `worker` must outlive the member.
  GroupMember(Worker& worker, CollectiveFactory make_collective);
  ~GroupMember();
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;

  // INVALID_ARGUMENT: no such rank; ALREADY_EXISTS: the number is in use.
  absl::StatusOr<JoinGroupResult> Join(const JoinGroupRequest& request)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocks until all members do it, or until the call's deadline.
  absl::Status Connect(const ConnectGroupRequest& request,
                       const CallContext& call) ABSL_LOCKS_EXCLUDED(mutex_);
  // Breaks the group for all its members. OK if there is none.
  absl::Status Leave(uint64_t group_id) ABSL_LOCKS_EXCLUDED(mutex_);
  void LeaveAll() ABSL_LOCKS_EXCLUDED(mutex_);

  // `request.group` must be set. Blocks until `call`'s deadline at most,
  // whether or not `call` is cancelled: that ends a call here only through
  // Cancel or GroupCall::deadline, of which the members tell each other.
  absl::StatusOr<ExpertForwardResult> Forward(
      const ExpertForwardRequest& request, const CallContext& call)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<ExpertBackwardResult> Backward(
      const ExpertBackwardRequest& request, const CallContext& call)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Nobody waits for that call any more; it may not have come yet.
  absl::Status Cancel(uint64_t group_id, uint64_t sequence)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Membership;

  absl::StatusOr<std::shared_ptr<Membership>> Find(uint64_t group_id) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // `pass` is GroupForward or GroupBackward.
  template <typename Result, typename Request, typename Pass>
  absl::StatusOr<Result> Run(const Request& request, const CallContext& call,
                             Pass pass) ABSL_LOCKS_EXCLUDED(mutex_);

  Worker& worker_;
  const CollectiveFactory make_collective_;

  mutable Mutex mutex_;
  // By order of joining.
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::btree_map<uint64_t, std::shared_ptr<Membership>> memberships_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_GROUP_GROUP_MEMBER_H_
