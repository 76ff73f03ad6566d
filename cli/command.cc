#include "cli/command.h"

#include <cstdio>
#include <limits>

#include "absl/strings/str_cat.h"
#include "services/rpc/address.h"

namespace switchyard {
namespace {

// CLI11 puts the option's name before what a check says: the field is cut off.
std::string WithoutField(const absl::Status& status) {
  if (status.ok()) return "";
  const absl::string_view message = status.message();
  return std::string(message.substr(message.find("got ")));
}

}  // namespace

GatewayClientOptions ConnectionFlags::ToClientOptions() const {
  GatewayClientOptions options;
  options.timeout = absl::Milliseconds(timeout_ms);
  options.max_message_bytes = max_message_bytes;
  return options;
}

void AddConnectionFlags(CLI::App& subcommand, ConnectionFlags& flags) {
  const auto check_address = [](const std::string& text) {
    return WithoutField(CheckDialAddress(text, "--gateway"));
  };
  subcommand
      .add_option("--gateway", flags.gateway,
                  "The gateway: host:port or unix:/path")
      ->envname("SWITCHYARD_GATEWAY")
      ->type_name("ADDRESS")
      ->check(CLI::Validator(check_address, ""));
  subcommand
      .add_option("--timeout-ms", flags.timeout_ms, "Most time for each call")
      ->type_name("MS")
      ->capture_default_str()
      ->check(IntegerIn({1, 86'400'000}));
  subcommand
      .add_option("--max-message-bytes", flags.max_message_bytes,
                  "Largest message, in either direction")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({1024, std::numeric_limits<int32_t>::max()}));
}

absl::Status CheckConnection(const ConnectionFlags& flags) {
  if (!flags.gateway.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--gateway: not given, nor SWITCHYARD_GATEWAY set; expected the "
      "host:port "
      "that the gateway printed when it started");
}

CLI::Validator IntegerIn(IntegerRange range) {
  return CLI::Validator(
      [range](const std::string& text) {
        return WithoutField(ParseInteger(text, range, "").status());
      },
      "");
}

CLI::Validator AddressToListen() {
  return CLI::Validator(
      [](const std::string& text) {
        return WithoutField(ParseAddress(text, "").status());
      },
      "");
}

CLI::Validator OneOf(const std::vector<std::string>& choices) {
  return CLI::Validator(
      [choices](const std::string& text) {
        return WithoutField(CheckChoice(text, choices, ""));
      },
      "");
}

int Complain(absl::string_view subcommand, const absl::Status& status,
             int code) {
  const std::string line =
      absl::StrCat("switchyard ", subcommand, ": ", status.message(), "\n");
  std::fputs(line.c_str(), stderr);
  return code;
}

absl::Status ExplainUnavailable(const absl::Status& status,
                                const ConnectionFlags& flags) {
  if (!absl::IsUnavailable(status)) return status;
  return absl::UnavailableError(absl::StrCat(
      "cannot reach the gateway at ", flags.gateway, ": ", status.message()));
}

}  // namespace switchyard
