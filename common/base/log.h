// Logging to standard error, one line a message, levels set at start. Standard
// output is left to what a program prints for its user.
#ifndef SWITCHYARD_COMMON_BASE_LOG_H_
#define SWITCHYARD_COMMON_BASE_LOG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace switchyard {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Names the process in each line. `level` is debug, info, warning or error;
// INVALID_ARGUMENT otherwise. Call once, before other threads log.
absl::Status InitLog(absl::string_view process_name, absl::string_view level);

// Thread-safe.
void LogMessage(LogLevel level, const std::string& message);

template <typename... Args>
void LogDebug(const Args&... args) {
  LogMessage(LogLevel::kDebug, absl::StrCat(args...));
}
template <typename... Args>
void LogInfo(const Args&... args) {
  LogMessage(LogLevel::kInfo, absl::StrCat(args...));
}
template <typename... Args>
void LogWarning(const Args&... args) {
  LogMessage(LogLevel::kWarning, absl::StrCat(args...));
}
template <typename... Args>
void LogError(const Args&... args) {
  LogMessage(LogLevel::kError, absl::StrCat(args...));
}

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_BASE_LOG_H_
