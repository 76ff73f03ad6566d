#include "gateway/group/group_link.h"

#include <algorithm>
#include <limits>
#include <random>
#include <stop_token>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "gateway/fan_out.h"

namespace switchyard {
namespace {

// For calls whose outcome nobody waits for.
constexpr absl::Duration kNoticeTimeout = absl::Seconds(5);

// Unlike any other, also of gateways before this one.
uint64_t DrawGroupId() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

absl::Status FirstError(const std::vector<absl::Status>& statuses) {
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<GroupLink>> GroupLink::Form(
    std::vector<GroupedWorker> members, absl::Time deadline, Clock& clock) {
  std::shared_ptr<GroupLink> link(new GroupLink(std::move(members), clock));
  SWITCHYARD_RETURN_IF_ERROR(link->JoinAll(deadline));
  return link;
}

GroupLink::GroupLink(std::vector<GroupedWorker> members, Clock& clock)
    : group_id_(DrawGroupId()), members_(std::move(members)), clock_(clock) {}

GroupLink::~GroupLink() { Break(); }

absl::Status GroupLink::JoinAll(absl::Time deadline) {
  const size_t num_members = members_.size();
  std::vector<JoinGroupRequest> joins(num_members);
  FanOut<absl::StatusOr<JoinGroupResult>> joining(num_members);
  for (size_t rank = 0; rank < num_members; ++rank) {
    joins[rank] = {.group_id = group_id_,
                   .rank = static_cast<int32_t>(rank),
                   .size = size()};
    members_[rank].worker->JoinGroup(joins[rank], deadline, joining.Done(rank));
  }
  ConnectGroupRequest request = {.group_id = group_id_};
  max_calls_ = std::numeric_limits<int32_t>::max();
  absl::Status status;
  for (const absl::StatusOr<JoinGroupResult>& joined : joining.Wait()) {
    if (!joined.ok()) {
      status.Update(joined.status());
      continue;
    }
    request.addresses.push_back(joined->address);
    max_calls_ = std::min(max_calls_, joined->max_calls);
  }
  SWITCHYARD_RETURN_IF_ERROR(status);
  if (max_calls_ < 1) {
    return absl::InternalError(absl::StrCat(
        "JoinGroup: got max_calls ", max_calls_, ", expected at least 1"));
  }
  FanOut<absl::Status> connecting(num_members);
  for (size_t rank = 0; rank < num_members; ++rank) {
    members_[rank].worker->ConnectGroup(request, deadline,
                                        connecting.Done(rank));
  }
  return FirstError(connecting.Wait());
}

absl::StatusOr<GroupLink::Call> GroupLink::Begin(const CallContext& call) {
  const std::stop_callback wake(call.cancellation(),
                                [this] { changed_.NotifyAll(); });
  MutexLock lock(mutex_);
  while (state_ == State::kOpen && num_calls_ >= max_calls_) {
    SWITCHYARD_RETURN_IF_ERROR(call.Check(clock_));
    // Not for ever: a cancellation may come just before the wait.
    changed_.WaitFor(mutex_,
                     std::clamp(call.deadline() - clock_.Now(),
                                absl::Milliseconds(1), absl::Milliseconds(50)));
  }
  if (state_ != State::kOpen) {
    return absl::UnavailableError("the group takes no calls any more");
  }
  ++num_calls_;
  return Call(shared_from_this(), next_sequence_++);
}

void GroupLink::End() {
  MutexLock lock(mutex_);
  --num_calls_;
  changed_.NotifyAll();
}

void GroupLink::Cancel(uint64_t sequence) {
  for (const GroupedWorker& member : members_) {
    member.worker->CancelGroupCall(group_id_, sequence,
                                   clock_.Now() + kNoticeTimeout,
                                   [](const absl::Status& /*status*/) {});
  }
}

void GroupLink::Break() {
  {
    MutexLock lock(mutex_);
    if (state_ == State::kBroken) return;
    state_ = State::kBroken;
    changed_.NotifyAll();
  }
  // A member that cannot be reached learns it from the others.
  for (const GroupedWorker& member : members_) {
    member.worker->LeaveGroup(group_id_, clock_.Now() + kNoticeTimeout,
                              [](const absl::Status& /*status*/) {});
  }
}

bool GroupLink::IsBroken() const {
  MutexLock lock(mutex_);
  return state_ == State::kBroken;
}

void GroupLink::Retire() {
  MutexLock lock(mutex_);
  if (state_ == State::kOpen) state_ = State::kRetired;
  changed_.NotifyAll();
}

}  // namespace switchyard
