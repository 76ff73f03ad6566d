#include "services/rpc/request_queue.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard {

RequestQueue::RequestQueue(absl::string_view name, const ServerLimits& limits,
                           Clock& clock)
    : name_(name),
      clock_(clock),
      queue_({.name = name_,
              .max_items = limits.max_queued_requests,
              .max_bytes = limits.max_pending_request_bytes}),
      pool_({.name = name_,
             .num_threads = limits.num_request_threads,
             .max_queued_tasks = limits.max_queued_requests + 1}) {}

absl::Status RequestQueue::Submit(Request& request) {
  if (draining_.stop_requested()) {
    return absl::UnavailableError(absl::StrCat(name_, ": shutting down"));
  }
  std::vector<FairQueue<Request*>::Entry> turned_away;
  bool needs_task = false;
  {
    MutexLock lock(mutex_);
    SWITCHYARD_ASSIGN_OR_RETURN(
        turned_away,
        queue_.Push({request.client_, request.num_bytes_, &request}));
    needs_task = num_scheduled_ < queue_.num_waiting();
    if (needs_task) ++num_scheduled_;
  }
  // As many tasks as may wait, and one more: the pool has room.
  if (needs_task) pool_.Schedule([this] { RunNext(); }).IgnoreError();
  for (const auto& entry : turned_away) {
    entry.item->TurnAway(absl::ResourceExhaustedError(
        absl::StrCat("queue of ", name_,
                     " is full, and this client had more than its share of it "
                     "waiting")));
  }
  return absl::OkStatus();
}

void RequestQueue::RunNext() {
  std::optional<FairQueue<Request*>::Entry> next;
  {
    MutexLock lock(mutex_);
    --num_scheduled_;
    next = queue_.Pop();
    if (next.has_value()) next->item->is_out_ = true;
  }
  if (next.has_value()) next->item->Run();
}

bool RequestQueue::Withdraw(Request& request) {
  MutexLock lock(mutex_);
  return queue_.Remove(request.client_, &request);
}

void RequestQueue::Release(Request& request) {
  MutexLock lock(mutex_);
  if (!request.is_out_) return;
  request.is_out_ = false;
  queue_.Release(request.client_, request.num_bytes_);
}

void RequestQueue::BeginCall() {
  MutexLock lock(mutex_);
  ++num_calls_;
}

void RequestQueue::EndCall() {
  MutexLock lock(mutex_);
  if (--num_calls_ == 0) idle_.NotifyAll();
}

bool RequestQueue::WaitUntilIdle(absl::Duration timeout) {
  const absl::Time until = clock_.Now() + timeout;
  MutexLock lock(mutex_);
  while (num_calls_ > 0) {
    const absl::Duration left = until - clock_.Now();
    if (left <= absl::ZeroDuration()) return false;
    idle_.WaitFor(mutex_, left);
  }
  return true;
}

}  // namespace switchyard
