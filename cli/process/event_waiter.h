#ifndef SWITCHYARD_CLI_PROCESS_EVENT_WAITER_H_
#define SWITCHYARD_CLI_PROCESS_EVENT_WAITER_H_

#include <csignal>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace switchyard {

// What a supervisor of processes waits for, in one place: a signal to stop, the
// end of a child, output to read, a point in time. From its construction on
// SIGINT, SIGTERM, SIGHUP and SIGCHLD are blocked in this thread and in those
// started later, and come out here; SIGPIPE is ignored. One of these at a time,
// made before other threads. Destruction restores the mask. Confined to one
// thread.
class EventWaiter {
 public:
  static absl::StatusOr<std::unique_ptr<EventWaiter>> Create();
  ~EventWaiter();
  EventWaiter(const EventWaiter&) = delete;
  EventWaiter& operator=(const EventWaiter&) = delete;

  struct Event {
    // SIGINT, SIGTERM or SIGHUP; 0: something else happened, or nothing did
    // until the deadline.
    int stop_signal = 0;
    // The signal came from the terminal, so the whole foreground process group
    // has it.
    bool from_terminal = false;
  };
  // Returns at the first signal, when one of `fds` has something to read (or
  // has ended), or at the deadline. May return early without cause. SIGCHLD is
  // only a reason to return: poll the children.
  Event Wait(const std::vector<int>& fds, absl::Time deadline);

 private:
  EventWaiter(int fd, const sigset_t& old_mask)
      : fd_(fd), old_mask_(old_mask) {}

  const int fd_;
  const sigset_t old_mask_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_PROCESS_EVENT_WAITER_H_
