// What gateway_main.cc and worker_main.cc do alike around their server.
#ifndef SWITCHYARD_SERVICES_MAIN_SERVER_PROCESS_H_
#define SWITCHYARD_SERVICES_MAIN_SERVER_PROCESS_H_

#include <string>

#include "absl/status/status.h"
#include "services/main/flag_parser.h"
#include "services/main/server_flags.h"

namespace switchyard {

// SIGINT, SIGTERM and SIGHUP, taken one by one by the main thread and by no
// handler, so that whatever answers them may lock and allocate. Construct it
// before any other thread starts: threads inherit the mask. SIGPIPE is ignored
// from here on: a client that hangs up must not end the process.
class StopSignals {
 public:
  StopSignals();

  // Blocks until one arrives, and returns it.
  int Wait() const;
  // The next one ends the process at once, as if nothing had ever caught it
  // (a shell reports 128 + signal).
  void LetNextOneKill() const;
};

// Log level, death with the parent, gRPC's own log lines off unless
// GRPC_VERBOSITY asks for them: the statuses that we log say the same in full
// sentences.
absl::Status PrepareProcess(const std::string& program,
                            const ProcessFlags& flags);

// Prints help to standard output, mistakes to standard error; returns the exit
// code.
int PrintFlagExit(const FlagExit& flag_exit);
// Prints to standard error; returns the exit code, 1.
int PrintFailure(const std::string& program, const absl::Status& status);
// The one line on standard output, for whoever started the process:
//   PROGRAM listening FIELDS grpc=ADDRESS metrics=ADDRESS
// `fields` may be empty; "none" where there is no metrics page.
void PrintListening(const std::string& program, const std::string& fields,
                    const std::string& address,
                    const std::string& metrics_address);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_MAIN_SERVER_PROCESS_H_
