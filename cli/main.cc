// switchyard: the command line.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/command.h"

namespace switchyard {
namespace {

int Print(std::FILE* stream, const std::string& text) {
  std::fputs(text.c_str(), stream);
  return stream == stdout ? 0 : kUsage;
}

// CLI11 asks for a subcommand without a word on the one it does not know.
std::string Explain(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
      !unknown.empty() && unknown.front().rfind('-', 0) != 0) {
    return "got '" + unknown.front() +
           "', expected the name of a subcommand, or all that it requires: " +
           error.what();
  }
  return error.what();
}

int Run(std::vector<std::string> arguments,
        const std::vector<std::string>& command, bool has_command) {
  CLI::App app(
      "Switchyard serves and trains Mixture-of-Experts layers as a service.",
      "switchyard");
  app.set_version_flag("--version",
                       std::string("switchyard ") + SWITCHYARD_VERSION);
  app.require_subcommand(1);
  Action action;
  AddUpCommand(app, command, action);
  AddStatusCommand(app, action);
  AddLayerCommand(app, action);
  AddCallCommand(app, action);
  AddBenchCommand(app, action);

  // CLI11 takes them from the back.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return Print(stdout, app.help());
  } catch (const CLI::CallForVersion& version) {
    return Print(stdout, std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    return Print(stderr, "switchyard: " + Explain(app, error) +
                             "\nRun switchyard --help, or switchyard "
                             "SUBCOMMAND --help.\n");
  }
  if (has_command && (!app.got_subcommand("up") || command.empty())) {
    return Print(stderr,
                 "switchyard: '--' is for `switchyard up ... -- COMMAND "
                 "ARGUMENTS`\n");
  }
  return action();
}

}  // namespace
}  // namespace switchyard

int main(int argc, char** argv) {
  // Statuses say what gRPC's own log lines do, in full sentences.
  setenv("GRPC_VERBOSITY", "NONE", /*replace=*/0);
  const std::vector<std::string> all(argv + 1, argv + argc);
  const auto dashes = std::find(all.begin(), all.end(), "--");
  const bool has_command = dashes != all.end();
  return switchyard::Run(
      std::vector<std::string>(all.begin(), dashes),
      std::vector<std::string>(has_command ? dashes + 1 : dashes, all.end()),
      has_command);
}
