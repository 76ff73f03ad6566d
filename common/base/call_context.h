#ifndef SWITCHYARD_COMMON_BASE_CALL_CONTEXT_H_
#define SWITCHYARD_COMMON_BASE_CALL_CONTEXT_H_

#include <algorithm>
#include <stop_token>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace switchyard {

// How long the caller of one call wants its answer: until a deadline, or until
// it leaves. It travels from the client's call to every call made for it, so
// that work nobody waits for ends. Immutable; a copy is cancelled with the
// original. Thread-safe.
class CallContext {
 public:
  // From a deadline alone, so that a caller who never leaves just gives that.
  CallContext(absl::Time deadline,  // NOLINT: implicit on purpose.
              std::stop_token cancellation = {})
      : deadline_(deadline), cancellation_(std::move(cancellation)) {}

  absl::Time deadline() const { return deadline_; }
  bool IsCancelled() const { return cancellation_.stop_requested(); }
  // For callbacks: std::stop_callback.
  const std::stop_token& cancellation() const { return cancellation_; }

  // Whether nobody waits any more. Costs a load and a look at the clock.
  bool IsOver(Clock& clock) const {
    return IsCancelled() || clock.Now() >= deadline_;
  }
  // CANCELLED or DEADLINE_EXCEEDED where it is over.
  absl::Status Check(Clock& clock) const {
    if (IsCancelled()) return CancelledError();
    if (clock.Now() >= deadline_) {
      return absl::DeadlineExceededError("the call's deadline has passed");
    }
    return absl::OkStatus();
  }
  static absl::Status CancelledError() {
    return absl::CancelledError("the caller has left");
  }

  // The same until `latest` at most.
  CallContext Until(absl::Time latest) const {
    return CallContext(std::min(deadline_, latest), cancellation_);
  }

 private:
  absl::Time deadline_;
  std::stop_token cancellation_;
};

// A call and the clock to judge it by, for work that looks up now and then.
// Borrows both.
class CallWatch {
 public:
  CallWatch(const CallContext& call, Clock& clock)
      : call_(call), clock_(clock) {}
  bool IsOver() const { return call_.IsOver(clock_); }
  absl::Status Check() const { return call_.Check(clock_); }

 private:
  const CallContext& call_;
  Clock& clock_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_BASE_CALL_CONTEXT_H_
