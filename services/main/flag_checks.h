// What the values of flags are checked with, beside services/rpc/address.h.
// Errors are INVALID_ARGUMENT and read "FIELD: got '...', expected ...".
#ifndef SWITCHYARD_SERVICES_MAIN_FLAG_CHECKS_H_
#define SWITCHYARD_SERVICES_MAIN_FLAG_CHECKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

struct IntegerRange {
  int64_t min;
  int64_t max;
};

// Refuses what is no name or IP address of a host.
absl::Status CheckHost(const std::string& text, absl::string_view field);

absl::StatusOr<int64_t> ParseInteger(const std::string& text,
                                     IntegerRange range,
                                     absl::string_view field);
// One of `choices`.
absl::Status CheckChoice(const std::string& text,
                         const std::vector<std::string>& choices,
                         absl::string_view field);
// The name of a worker, as registry.proto has it.
// An absolute path to a directory that is there.
absl::Status CheckDirectory(const std::string& text, absl::string_view field);
absl::Status CheckWorkerId(const std::string& text, absl::string_view field);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_MAIN_FLAG_CHECKS_H_
