// switchyard-gateway: one gateway process.
#include <cstring>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/log.h"
#include "services/gateway_server.h"
#include "services/main/gateway_flags.h"
#include "services/main/server_process.h"

namespace switchyard {
namespace {

constexpr char kProgram[] = "switchyard-gateway";

int Run(const GatewayFlags& flags, const StopSignals& signals) {
  if (const absl::Status status = PrepareProcess(kProgram, flags.process);
      !status.ok()) {
    return PrintFailure(kProgram, status);
  }
  absl::StatusOr<std::unique_ptr<GatewayServer>> server =
      GatewayServer::Start(flags.server);
  if (!server.ok()) return PrintFailure(kProgram, server.status());
  PrintListening(kProgram, "", (*server)->address(),
                 (*server)->metrics_address());

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
  const auto flags = switchyard::ParseGatewayFlags(argc, argv);
  if (const auto* flag_exit = std::get_if<switchyard::FlagExit>(&flags)) {
    return switchyard::PrintFlagExit(*flag_exit);
  }
  return switchyard::Run(std::get<switchyard::GatewayFlags>(flags), signals);
}
