#include "cli/supervise.h"

#include <csignal>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/process/stop_children.h"
#include "common/base/clock.h"

namespace switchyard {
namespace {

// Tells of members that ended by themselves; whether the gateway did.
bool TellOfEnds(LocalCluster& cluster) {
  bool gateway_ended = false;
  for (const LocalCluster::EndedMember& member : cluster.TakeEnded()) {
    gateway_ended = gateway_ended || member.is_gateway;
    const std::string line = absl::StrCat(
        "switchyard up: ", member.name, " (pid ", member.pid,
        ") ended by itself: ", member.status.ToString(),
        member.is_gateway ? "; stopping everything" : "; the others go on",
        "\n");
    std::fputs(line.c_str(), stderr);
  }
  return gateway_ended;
}

// The command after the first signal to stop.
int EndCommand(ChildProcess& command, const EventWaiter::Event& event,
               absl::Duration grace, EventWaiter& events) {
  if (!event.from_terminal) command.Signal(event.stop_signal);
  const absl::Time deadline = Clock::Real().Now() + grace;
  if (!WaitForChildren({&command}, deadline, events)) {
    const bool was_told_again = Clock::Real().Now() < deadline;
    StopChildren({&command}, was_told_again ? absl::ZeroDuration() : grace,
                 events);
  }
  return command.Poll()->ShellCode();
}

}  // namespace

int Supervise(LocalCluster& cluster, ChildProcess* command,
              absl::Duration command_grace, EventWaiter& events) {
  while (true) {
    if (TellOfEnds(cluster)) {
      StopChildren({command}, command_grace, events);
      return kFailed;
    }
    if (command != nullptr && command->Poll().has_value()) {
      return command->Poll()->ShellCode();
    }
    const EventWaiter::Event event = events.Wait({}, absl::InfiniteFuture());
    if (event.stop_signal == 0) continue;
    if (command == nullptr) return 0;
    return EndCommand(*command, event, command_grace, events);
  }
}

}  // namespace switchyard
