#ifndef SWITCHYARD_SERVICES_RPC_EXCEPTION_BOUNDARY_H_
#define SWITCHYARD_SERVICES_RPC_EXCEPTION_BOUNDARY_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace switchyard {

// Runs `work`. Nothing of ours throws, but memory may run out on a large
// tensor (RESOURCE_EXHAUSTED) and a library below may have its own view
// (INTERNAL): neither may end the process.
absl::Status RunCatching(absl::FunctionRef<absl::Status()> work);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_EXCEPTION_BOUNDARY_H_
