#ifndef SWITCHYARD_SERVICES_MAIN_GATEWAY_FLAGS_H_
#define SWITCHYARD_SERVICES_MAIN_GATEWAY_FLAGS_H_

#include <variant>

#include "services/gateway_server.h"
#include "services/main/flag_parser.h"
#include "services/main/server_flags.h"

namespace switchyard {

struct GatewayFlags {
  GatewayServerOptions server;
  ProcessFlags process;
};

std::variant<GatewayFlags, FlagExit> ParseGatewayFlags(int argc,
                                                       const char* const* argv);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_MAIN_GATEWAY_FLAGS_H_
