// The flags that gateway and worker have in common.
#ifndef SWITCHYARD_SERVICES_MAIN_SERVER_FLAGS_H_
#define SWITCHYARD_SERVICES_MAIN_SERVER_FLAGS_H_

#include <string>

#include "absl/time/time.h"
#include "services/main/flag_parser.h"
#include "services/server_limits.h"

namespace switchyard {

struct ProcessFlags {
  std::string log_level = "info";
  // Time that calls in progress get to end in.
  absl::Duration shutdown_grace = absl::Seconds(5);
  // Stop, as on SIGTERM, when the process that started this one ends. A parent
  // that was gone before this process could ask for that is not noticed;
  // `switchyard up` has its own way, without that gap.
  bool exit_with_parent = false;
};

// --listen and --metrics-listen.
void AddAddressFlags(FlagParser& parser, std::string& listen_address,
                     std::string& metrics_address);
void AddLimitFlags(FlagParser& parser, ServerLimits& limits);
void AddProcessFlags(FlagParser& parser, ProcessFlags& flags);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_MAIN_SERVER_FLAGS_H_
