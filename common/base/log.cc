#include "common/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace switchyard {
namespace {

// Until InitLog: warnings and errors only, so that libraries linked into a
// user's program stay quiet.
spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    auto* made = new spdlog::logger(  // Never destroyed.
        "switchyard", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::warn);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

absl::Status InitLog(absl::string_view process_name, absl::string_view level) {
  LogLevel parsed;
  if (level == "debug") {
    parsed = LogLevel::kDebug;
  } else if (level == "info") {
    parsed = LogLevel::kInfo;
  } else if (level == "warning") {
    parsed = LogLevel::kWarning;
  } else if (level == "error") {
    parsed = LogLevel::kError;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("log_level: got '", level,
                     "', expected debug, info, warning or error"));
  }
  Logger().set_level(ToSpdlog(parsed));
  Logger().set_pattern(
      absl::StrCat("%Y-%m-%dT%H:%M:%S.%eZ %L ", process_name, ": %v"),
      spdlog::pattern_time_type::utc);
  return absl::OkStatus();
}

void LogMessage(LogLevel level, const std::string& message) {
  Logger().log(ToSpdlog(level), spdlog::string_view_t(message));
}

}  // namespace switchyard
