// What the subcommands of `switchyard` have in common.
#ifndef SWITCHYARD_CLI_COMMAND_H_
#define SWITCHYARD_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/gateway_client.h"
#include "services/main/flag_checks.h"

namespace switchyard {

// Exit codes: 1, it was tried and failed; 2, it was asked for wrongly.
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// What is to be done once all flags are read; returns the exit code. Each
// Add...Command adds a subcommand, which sets the action when it is the one
// that the user named. All must outlive the parsing, `app` the action.
using Action = std::function<int()>;

void AddBenchCommand(CLI::App& app, Action& action);
void AddCallCommand(CLI::App& app, Action& action);
void AddLayerCommand(CLI::App& app, Action& action);
void AddStatusCommand(CLI::App& app, Action& action);
// `command` is what followed "--" on the command line.
void AddUpCommand(CLI::App& app, const std::vector<std::string>& command,
                  Action& action);

// Flags of the subcommands that talk to a gateway.
struct ConnectionFlags {
  std::string gateway;
  int64_t timeout_ms = 60'000;
  int64_t max_message_bytes = GatewayClientOptions().max_message_bytes;

  GatewayClientOptions ToClientOptions() const;
};

// --gateway (or SWITCHYARD_GATEWAY; required), --timeout-ms,
// --max-message-bytes.
void AddConnectionFlags(CLI::App& subcommand, ConnectionFlags& flags);
// INVALID_ARGUMENT where no gateway was named.
absl::Status CheckConnection(const ConnectionFlags& flags);

// Checks for CLI11's options, in the words of the servers' own.
CLI::Validator IntegerIn(IntegerRange range);
CLI::Validator AddressToListen();
CLI::Validator OneOf(const std::vector<std::string>& choices);

// Prints "switchyard SUBCOMMAND: MESSAGE" to standard error; returns `code`.
int Complain(absl::string_view subcommand, const absl::Status& status,
             int code);
// For calls: where the gateway cannot be reached, says so and names it.
absl::Status ExplainUnavailable(const absl::Status& status,
                                const ConnectionFlags& flags);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_COMMAND_H_
