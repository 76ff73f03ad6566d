#ifndef SWITCHYARD_SERVICES_MAIN_WORKER_FLAGS_H_
#define SWITCHYARD_SERVICES_MAIN_WORKER_FLAGS_H_

#include <variant>

#include "services/main/flag_parser.h"
#include "services/main/server_flags.h"
#include "services/worker_server.h"

namespace switchyard {

struct WorkerFlags {
  WorkerServerOptions server;
  ProcessFlags process;
};

std::variant<WorkerFlags, FlagExit> ParseWorkerFlags(int argc,
                                                     const char* const* argv);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_MAIN_WORKER_FLAGS_H_
