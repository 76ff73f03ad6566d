#include "services/rpc/outbound_calls.h"

#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace switchyard {

bool OutboundCalls::Add(std::shared_ptr<grpc::ClientContext> call) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  calls_.insert(std::move(call));
  ++num_calls_;
  return true;
}

void OutboundCalls::Remove(std::shared_ptr<grpc::ClientContext> call) {
  {
    MutexLock lock(mutex_);
    calls_.erase(call);
  }
  call.reset();  // Outside of the lock: more may go with it.
  MutexLock lock(mutex_);
  if (--num_calls_ == 0) empty_.NotifyAll();
}

void OutboundCalls::CancelAll() {
  std::vector<std::shared_ptr<grpc::ClientContext>> calls;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    calls.assign(calls_.begin(), calls_.end());
  }
  // Outside of the lock: a call may end, and come to Remove, within TryCancel.
  for (const std::shared_ptr<grpc::ClientContext>& call : calls) {
    call->TryCancel();
  }
}

bool OutboundCalls::WaitUntilEmpty(absl::Duration timeout) {
  Clock& clock = Clock::Real();
  const absl::Time until = clock.Now() + timeout;
  MutexLock lock(mutex_);
  while (num_calls_ > 0) {
    const absl::Duration left = until - clock.Now();
    if (left <= absl::ZeroDuration()) return false;
    empty_.WaitFor(mutex_, left);
  }
  return true;
}

}  // namespace switchyard
