// Short ways to make children for tests.
#ifndef SWITCHYARD_CLI_PROCESS_PROCESS_TESTING_H_
#define SWITCHYARD_CLI_PROCESS_PROCESS_TESTING_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/process/child_process.h"
#include "cli/process/event_waiter.h"
#include "common/base/clock.h"

namespace switchyard::testing {

// Far more than any of these tests needs.
inline constexpr absl::Duration kLong = absl::Seconds(30);

inline ChildOptions Shell(const std::string& script) {
  ChildOptions options;
  options.argv = {"/bin/sh", "-c", script};
  options.environment = EnvironmentWithout("");
  options.capture_stdout = true;
  return options;
}

// The child's first line; FAILED_PRECONDITION without one.
inline absl::StatusOr<std::string> WaitForLine(ChildProcess& child,
                                               EventWaiter& events) {
  const absl::Time deadline = Clock::Real().Now() + kLong;
  while (Clock::Real().Now() < deadline) {
    absl::StatusOr<std::optional<std::string>> line = child.PollLine();
    if (!line.ok()) return line.status();
    if (line->has_value()) return **line;
    events.Wait({child.stdout_fd()}, deadline);
  }
  return absl::DeadlineExceededError("no line of output");
}

inline std::optional<ExitStatus> WaitForEnd(ChildProcess& child,
                                            EventWaiter& events) {
  const absl::Time deadline = Clock::Real().Now() + kLong;
  while (!child.Poll().has_value() && Clock::Real().Now() < deadline) {
    events.Wait({}, deadline);
  }
  return child.Poll();
}

}  // namespace switchyard::testing

#endif  // SWITCHYARD_CLI_PROCESS_PROCESS_TESTING_H_
