#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "cli/command.h"
#include "cli/status_report.h"
#include "cli/table.h"
#include "client/gateway_client.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

struct StatusFlags {
  ConnectionFlags connection;
  bool json = false;
  int max_experts = ReportStyle().max_experts;
};

absl::StatusOr<ClusterStatus> AskGateway(const ConnectionFlags& connection) {
  GatewayClient client(connection.gateway, connection.ToClientOptions());
  ClusterStatus status;
  status.gateway_address = connection.gateway;
  SWITCHYARD_ASSIGN_OR_RETURN(status.workers, client.ListWorkers());
  SWITCHYARD_ASSIGN_OR_RETURN(status.layers, client.ListLayers());
  SWITCHYARD_ASSIGN_OR_RETURN(status.loads, client.GetLoad(""));
  return status;
}

int RunStatus(const StatusFlags& flags) {
  if (const absl::Status status = CheckConnection(flags.connection);
      !status.ok()) {
    return Complain("status", status, kUsage);
  }
  const absl::StatusOr<ClusterStatus> status = AskGateway(flags.connection);
  if (!status.ok()) {
    return Complain("status",
                    ExplainUnavailable(status.status(), flags.connection),
                    kFailed);
  }
  std::string text;
  if (flags.json) {
    // Text that is not UTF-8 is shown, not refused.
    text = StatusToJson(*status).dump(
               2, ' ', false, nlohmann::json::error_handler_t::replace) +
           "\n";
  } else {
    ReportStyle style;
    style.with_colour = WantsColour(STDOUT_FILENO);
    style.max_experts = flags.max_experts;
    text = FormatStatus(*status, style);
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

void AddStatusCommand(CLI::App& app, Action& action) {
  CLI::App* const subcommand = app.add_subcommand(
      "status", "Show workers, layers, placement and expert counts");
  const auto flags = std::make_shared<StatusFlags>();
  AddConnectionFlags(*subcommand, flags->connection);
  subcommand->add_flag("--json", flags->json, "Print JSON, for programs");
  subcommand
      ->add_option("--max-experts", flags->max_experts,
                   "Most experts listed of one layer; 0: all")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({0, 65'536}));
  subcommand->callback(
      [flags, &action] { action = [flags] { return RunStatus(*flags); }; });
}

}  // namespace switchyard
