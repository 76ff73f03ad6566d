#ifndef SWITCHYARD_GATEWAY_GROUP_GROUP_LINK_H_
#define SWITCHYARD_GATEWAY_GROUP_GROUP_LINK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "gateway/expert_group.h"

namespace switchyard {

// A worker that takes part in a group.
struct GroupedWorker {
  std::string worker_id;
  std::shared_ptr<ExpertGroup> worker;
};

// The gateway's end of a group of workers that exchange tokens among
// themselves: gives calls their numbers, and lets no more be under way than
// every member takes. A link lives once: it is formed, used until a member
// fails or the group changes, and broken; another takes its place.
// Thread-safe.
class GroupLink : public std::enable_shared_from_this<GroupLink> {
 public:
  // Lets the workers, by rank, join and connect; blocks until `deadline` at
  // most. The first error, by rank; then nobody stays joined.
  static absl::StatusOr<std::shared_ptr<GroupLink>> Form(
      std::vector<GroupedWorker> members, absl::Time deadline, Clock& clock);

  // Breaks the group: its members need not know each other any more.
  ~GroupLink();
  GroupLink(const GroupLink&) = delete;
  GroupLink& operator=(const GroupLink&) = delete;

  // One call of the group under way; must be made on all members. Movable.
  class Call {
   public:
    Call(std::shared_ptr<GroupLink> link, uint64_t sequence)
        : link_(std::move(link)), sequence_(sequence) {}
    ~Call() {
      if (link_ != nullptr) link_->End();
    }
    Call(Call&&) = default;
    Call& operator=(Call&&) = delete;

    GroupLink& link() const { return *link_; }
    uint64_t sequence() const { return sequence_; }
    // Tells the members that nobody waits for it any more.
    void Cancel() const { link_->Cancel(sequence_); }

   private:
    std::shared_ptr<GroupLink> link_;
    uint64_t sequence_;
  };

  // Waits until there is room for another call. UNAVAILABLE if the group is
  // broken or retired; else why `call` is over.
  absl::StatusOr<Call> Begin(const CallContext& call)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the group, and all calls under way with it, for all members.
  void Break() ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsBroken() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes no further calls; those under way end as they would.
  void Retire() ABSL_LOCKS_EXCLUDED(mutex_);

  uint64_t group_id() const { return group_id_; }
  const std::vector<GroupedWorker>& members() const { return members_; }
  int32_t size() const { return static_cast<int32_t>(members_.size()); }

 private:
  enum class State { kOpen, kRetired, kBroken };

  GroupLink(std::vector<GroupedWorker> members, Clock& clock);

  absl::Status JoinAll(absl::Time deadline);
  void Cancel(uint64_t sequence);
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

  const uint64_t group_id_;
  const std::vector<GroupedWorker> members_;
  Clock& clock_;
  // Set by JoinAll.
  int32_t max_calls_ = 0;

  mutable Mutex mutex_;
  CondVar changed_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kOpen;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  int32_t num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_GROUP_GROUP_LINK_H_
