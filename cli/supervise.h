#ifndef SWITCHYARD_CLI_SUPERVISE_H_
#define SWITCHYARD_CLI_SUPERVISE_H_

#include "absl/time/time.h"
#include "cli/local_cluster.h"
#include "cli/process/child_process.h"
#include "cli/process/event_waiter.h"

namespace switchyard {

// Watches over a running cluster, and over the user's command where `command`
// is not null, until it is time to stop the cluster; returns the exit code of
// `switchyard up`:
//   - the command has ended: its own code, 128 + signal if one ended it;
//   - there is no command, and a signal to stop arrived: 0;
//   - the gateway ended by itself: 1. The command is stopped first.
// A worker that ends is told of on standard error; the others go on.
//
// A signal to stop is for the command, if there is one: it gets SIGINT from the
// terminal itself, any other from here, then `command_grace` to end in, then
// SIGTERM, and SIGKILL after as much again. The second signal to stop kills it.
int Supervise(LocalCluster& cluster, ChildProcess* command,
              absl::Duration command_grace, EventWaiter& events);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_SUPERVISE_H_
