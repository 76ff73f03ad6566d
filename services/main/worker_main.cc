// switchyard-worker: one expert worker process.
#include <cstring>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "services/main/server_process.h"
#include "services/main/worker_flags.h"
#include "services/worker_server.h"

namespace switchyard {
namespace {

constexpr char kProgram[] = "switchyard-worker";

int Run(const WorkerFlags& flags, const StopSignals& signals) {
  if (const absl::Status status = PrepareProcess(kProgram, flags.process);
      !status.ok()) {
    return PrintFailure(kProgram, status);
  }
  absl::StatusOr<std::unique_ptr<WorkerServer>> server =
      WorkerServer::Start(flags.server);
  if (!server.ok()) return PrintFailure(kProgram, server.status());
  PrintListening(kProgram,
                 absl::StrCat("worker=", flags.server.worker.worker_id),
                 (*server)->address(), (*server)->metrics_address());

  const int signal = signals.Wait();
  LogInfo("got ", strsignal(signal), ": shutting down");
  signals.LetNextOneKill();
  (*server)->Shutdown(flags.process.shutdown_grace);
  return 0;
}

}  // namespace
}  // namespace switchyard

int main(int argc, char** argv) {
  const switchyard::StopSignals signals;
  const auto flags = switchyard::ParseWorkerFlags(argc, argv);
  if (const auto* flag_exit = std::get_if<switchyard::FlagExit>(&flags)) {
    return switchyard::PrintFlagExit(*flag_exit);
  }
  return switchyard::Run(std::get<switchyard::WorkerFlags>(flags), signals);
}
