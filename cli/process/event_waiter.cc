#include "cli/process/event_waiter.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "common/base/clock.h"

namespace switchyard {
namespace {

// Waits are cut into pieces of this length: a thread that was there before the
// waiter, and so does not block SIGCHLD, may have taken one from us.
constexpr absl::Duration kLongestWait = absl::Seconds(1);

int TimeoutMs(absl::Time deadline) {
  // Rounded up, so that the deadline has passed when poll returns for it.
  const absl::Duration left =
      absl::Ceil(deadline - Clock::Real().Now(), absl::Milliseconds(1));
  return static_cast<int>(absl::ToInt64Milliseconds(
      std::clamp(left, absl::ZeroDuration(), kLongestWait)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventWaiter>> EventWaiter::Create() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) {
    sigaddset(&set, signal);
  }
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot make a signalfd");
  sigset_t old_mask;
  pthread_sigmask(SIG_BLOCK, &set, &old_mask);
  std::signal(SIGPIPE, SIG_IGN);
  return absl::WrapUnique(new EventWaiter(fd, old_mask));
}

EventWaiter::~EventWaiter() {
  close(fd_);
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

EventWaiter::Event EventWaiter::Wait(const std::vector<int>& fds,
                                     absl::Time deadline) {
  std::vector<pollfd> polled = {{fd_, POLLIN, 0}};
  for (const int fd : fds) polled.push_back({fd, POLLIN, 0});
  if (poll(polled.data(), polled.size(), TimeoutMs(deadline)) <= 0 ||
      (polled[0].revents & POLLIN) == 0) {
    return {};
  }
  signalfd_siginfo arrived;
  if (read(fd_, &arrived, sizeof arrived) != sizeof arrived ||
      arrived.ssi_signo == SIGCHLD) {
    return {};
  }
  return {static_cast<int>(arrived.ssi_signo), arrived.ssi_code == SI_KERNEL};
}

}  // namespace switchyard
