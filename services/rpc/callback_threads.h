#ifndef SWITCHYARD_SERVICES_RPC_CALLBACK_THREADS_H_
#define SWITCHYARD_SERVICES_RPC_CALLBACK_THREADS_H_

#include "absl/functional/any_invocable.h"

namespace switchyard {

// Runs `work` on a thread of our own, soon; here where too much waits.
void RunOffCallbackThreads(absl::AnyInvocable<void()> work);

// gRPC 1.51 ends its callback threads with the last channel or server that uses
// them, and joins them in the thread that let go of it: in one of themselves,
// if that was a callback, which aborts the process. What holds a channel and
// may be let go of by callbacks is therefore deleted with this.
template <typename T>
void DeleteOffCallbackThreads(T* object) {
  RunOffCallbackThreads([object] { delete object; });
}

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_CALLBACK_THREADS_H_
