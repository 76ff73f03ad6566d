#include "cli/process/stop_children.h"

#include <csignal>

#include "common/base/clock.h"

namespace switchyard {
namespace {

bool AllEnded(const std::vector<ChildProcess*>& children) {
  bool all_ended = true;
  for (ChildProcess* child : children) {
    // Each is polled, so that each is reaped as soon as it can be.
    if (child != nullptr && !child->Poll().has_value()) all_ended = false;
  }
  return all_ended;
}

void SignalAll(const std::vector<ChildProcess*>& children, int signal) {
  for (ChildProcess* child : children) {
    if (child != nullptr && !child->Poll().has_value()) child->Signal(signal);
  }
}

}  // namespace

bool WaitForChildren(const std::vector<ChildProcess*>& children,
                     absl::Time deadline, EventWaiter& events) {
  while (!AllEnded(children)) {
    if (Clock::Real().Now() >= deadline) return false;
    if (events.Wait({}, deadline).stop_signal != 0) return AllEnded(children);
  }
  return true;
}

void StopChildren(const std::vector<ChildProcess*>& children,
                  absl::Duration grace, EventWaiter& events) {
  SignalAll(children, SIGTERM);
  if (WaitForChildren(children, Clock::Real().Now() + grace, events)) return;
  SignalAll(children, SIGKILL);
  // Nothing survives SIGKILL: this ends as soon as the system gets to it.
  while (!WaitForChildren(children, absl::InfiniteFuture(), events)) {
  }
}

}  // namespace switchyard
