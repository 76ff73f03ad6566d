#ifndef SWITCHYARD_CLI_PROCESS_STOP_CHILDREN_H_
#define SWITCHYARD_CLI_PROCESS_STOP_CHILDREN_H_

#include <vector>

#include "absl/time/time.h"
#include "cli/process/child_process.h"
#include "cli/process/event_waiter.h"

namespace switchyard {

// Stops children that still run: SIGTERM, then SIGKILL to those left after
// `grace` or at the next signal to stop that arrives meanwhile. All have ended
// when it returns. Null entries are skipped.
void StopChildren(const std::vector<ChildProcess*>& children,
                  absl::Duration grace, EventWaiter& events);

// Waits until all have ended, `deadline` has passed or a signal to stop
// arrives; false: some still run.
bool WaitForChildren(const std::vector<ChildProcess*>& children,
                     absl::Time deadline, EventWaiter& events);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_PROCESS_STOP_CHILDREN_H_
