#ifndef SWITCHYARD_CLI_PROCESS_RESIDENT_MEMORY_H_
#define SWITCHYARD_CLI_PROCESS_RESIDENT_MEMORY_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace switchyard {

// Memory of a process that is in RAM, shared pages too. NOT_FOUND where there
// is no such process. Unit: bytes.
absl::StatusOr<int64_t> ResidentBytes(pid_t pid);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_PROCESS_RESIDENT_MEMORY_H_
