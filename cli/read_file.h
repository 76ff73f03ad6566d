#ifndef SWITCHYARD_CLI_READ_FILE_H_
#define SWITCHYARD_CLI_READ_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace switchyard {

// All of a file, at most 2 GiB: no message is larger. INVALID_ARGUMENT where
// it cannot be read.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_READ_FILE_H_
