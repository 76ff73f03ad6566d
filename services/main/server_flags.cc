#include "services/main/server_flags.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "services/rpc/address.h"

namespace switchyard {

void AddAddressFlags(FlagParser& parser, std::string& listen_address,
                     std::string& metrics_address) {
  parser.BeginGroup("Addresses");
  parser.AddText(
      "listen", "ADDRESS",
      "Where to serve gRPC: host:port or unix:/path; port 0 is chosen by the "
      "system",
      listen_address, [](const std::string& text, absl::string_view field) {
        return ParseAddress(text, field).status();
      });
  parser.Add(
      "metrics-listen", "ADDRESS",
      "Where to serve the Prometheus page: host:port, or none", metrics_address,
      [&metrics_address](const std::string& text, absl::string_view field) {
        if (text == "none") {
          metrics_address.clear();
          return absl::OkStatus();
        }
        SWITCHYARD_ASSIGN_OR_RETURN(const Address parsed,
                                    ParseAddress(text, field));
        if (!parsed.unix_path.empty()) {
          return absl::InvalidArgumentError(absl::StrCat(
              field, ": got '", text, "', expected host:port or none"));
        }
        metrics_address = text;
        return absl::OkStatus();
      });
}

void AddLimitFlags(FlagParser& parser, ServerLimits& limits) {
  parser.BeginGroup("Limits");
  // gRPC's own sizes are 32-bit.
  parser.AddInteger(
      "max-message-bytes", {1024, std::numeric_limits<int32_t>::max()},
      "Largest message, in either direction", limits.max_message_bytes);
  parser.AddInteger("num-request-threads", {1, 1024},
                    "Calls that run at the same time",
                    limits.num_request_threads);
  parser.AddInteger("max-queued-requests", {1, 1'000'000},
                    "Calls that wait for a thread, shared fairly between "
                    "clients; further ones are refused",
                    limits.max_queued_requests);
  parser.AddInteger("max-pending-request-bytes",
                    {1, std::numeric_limits<int64_t>::max()},
                    "Bytes of requests that run or wait, shared fairly between "
                    "clients; further ones are refused",
                    limits.max_pending_request_bytes);
  parser.AddInteger("max-shared-regions", {0, 1'000'000},
                    "Regions of shared memory that callers may attach",
                    limits.max_shared_regions);
  parser.AddInteger("max-shared-memory-bytes",
                    {0, std::numeric_limits<int64_t>::max()},
                    "Their bytes together", limits.max_shared_memory_bytes);
  parser.AddMilliseconds("max-call-duration-ms", {1, 86'400'000},
                         "Most time that any call gets",
                         limits.max_call_duration);
}

void AddProcessFlags(FlagParser& parser, ProcessFlags& flags) {
  parser.BeginGroup("Process");
  parser.AddText(
      "log-level", "LEVEL", "debug, info, warning or error", flags.log_level,
      [](const std::string& text, absl::string_view field) {
        return CheckChoice(text, {"debug", "info", "warning", "error"}, field);
      });
  parser.AddMilliseconds("shutdown-grace-ms", {0, 600'000},
                         "Time for calls in progress to end in after SIGTERM",
                         flags.shutdown_grace);
  parser.AddSwitch("exit-with-parent",
                   "Stop when the process that started this one ends",
                   flags.exit_with_parent);
}

}  // namespace switchyard
