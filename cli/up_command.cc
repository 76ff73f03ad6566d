#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/command.h"
#include "cli/local_cluster.h"
#include "cli/process/child_process.h"
#include "cli/process/event_waiter.h"
#include "cli/supervise.h"
#include "cli/table.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "services/rpc/address.h"

namespace switchyard {
namespace {

struct UpFlags {
  LocalClusterOptions cluster;
  // 0: the cores, shared out.
  int compute_threads_per_worker = 0;
  std::string worker_sockets = "unix";
  int64_t start_timeout_ms = 30'000;
  int64_t shutdown_grace_ms = 5'000;
};

absl::StatusOr<LocalClusterOptions> ClusterOptions(const UpFlags& flags) {
  LocalClusterOptions options = flags.cluster;
  options.unix_sockets = flags.worker_sockets == "unix";
  options.start_timeout = absl::Milliseconds(flags.start_timeout_ms);
  options.shutdown_grace = absl::Milliseconds(flags.shutdown_grace_ms);
  options.num_compute_threads_per_worker = flags.compute_threads_per_worker;
  if (options.num_compute_threads_per_worker == 0) {
    const int num_cores = static_cast<int>(std::thread::hardware_concurrency());
    options.num_compute_threads_per_worker =
        std::clamp(num_cores / options.num_workers, 1, 1024);
  }
  if (options.gateway_binary.empty()) {
    SWITCHYARD_ASSIGN_OR_RETURN(options.gateway_binary,
                                SiblingBinary("switchyard-gateway"));
  }
  if (options.worker_binary.empty()) {
    SWITCHYARD_ASSIGN_OR_RETURN(options.worker_binary,
                                SiblingBinary("switchyard-worker"));
  }
  return options;
}

// With a command, standard output is the command's.
void PrintCluster(const LocalCluster& cluster, absl::Duration start_time,
                  bool has_command) {
  std::FILE* const stream = has_command ? stderr : stdout;
  Table table({{"PROCESS"}, {"PID", Align::kRight}, {"GRPC"}, {"METRICS"}});
  for (const LocalCluster::Member& member : cluster.members()) {
    table.AddRow({member.name, absl::StrCat(member.process.pid()),
                  member.listening.address,
                  absl::StrCat("http://", member.listening.metrics_address,
                               "/metrics")});
  }
  const std::string text =
      absl::StrCat("switchyard up: ready in ",
                   absl::StrFormat("%.1f s", absl::ToDoubleSeconds(start_time)),
                   "\n\n", table.ToString("  ", /*with_colour=*/false),
                   "\n  export SWITCHYARD_GATEWAY=", cluster.gateway_address(),
                   "\n\n", has_command ? "" : "Ctrl-C stops it.\n");
  std::fputs(text.c_str(), stream);
  std::fflush(stream);
}

absl::StatusOr<ChildProcess> StartCommand(
    const std::vector<std::string>& command, const LocalCluster& cluster) {
  ChildOptions options;
  options.argv = command;
  options.environment = EnvironmentWithout("");
  SetVariable(options.environment, "SWITCHYARD_GATEWAY",
              cluster.gateway_address());
  SetVariable(options.environment, "SWITCHYARD_METRICS",
              absl::StrJoin(cluster.MetricsUrls(), " "));
  return ChildProcess::Start(options);
}

// As a shell reports a program that it cannot run.
int CannotRunCode(const absl::Status& status) {
  return absl::IsNotFound(status) ? 127 : 126;
}

int RunUp(const UpFlags& flags, const std::vector<std::string>& command) {
  const absl::StatusOr<LocalClusterOptions> options = ClusterOptions(flags);
  if (!options.ok()) return Complain("up", options.status(), kFailed);
  const absl::StatusOr<std::unique_ptr<EventWaiter>> events =
      EventWaiter::Create();
  if (!events.ok()) return Complain("up", events.status(), kFailed);

  const Stopwatch stopwatch;
  absl::StatusOr<LocalCluster> cluster =
      LocalCluster::Start(*options, **events);
  if (!cluster.ok()) return Complain("up", cluster.status(), kFailed);
  PrintCluster(*cluster, absl::Microseconds(stopwatch.ElapsedUs()),
               !command.empty());

  std::optional<ChildProcess> child;
  if (!command.empty()) {
    absl::StatusOr<ChildProcess> started = StartCommand(command, *cluster);
    if (!started.ok()) {
      cluster->Stop(**events);
      return Complain("up", started.status(), CannotRunCode(started.status()));
    }
    child = *std::move(started);
  }
  const int code = Supervise(*cluster, child.has_value() ? &*child : nullptr,
                             options->shutdown_grace, **events);
  cluster->Stop(**events);
  return code;
}

void AddFlags(CLI::App& up, UpFlags& flags) {
  LocalClusterOptions& cluster = flags.cluster;
  up.add_option("--workers", cluster.num_workers, "Workers to start")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({1, 256}));
  up.add_option("--compute-threads-per-worker",
                flags.compute_threads_per_worker,
                "Threads that compute in each; default: the cores, shared out")
      ->type_name("N")
      ->check(IntegerIn({1, 1024}));
  up.add_option("--gateway-listen", cluster.gateway_listen,
                "Where the gateway serves; port 0 is chosen by the system")
      ->type_name("ADDRESS")
      ->capture_default_str()
      ->check(AddressToListen());
  up.add_option("--worker-sockets", flags.worker_sockets,
                "What workers serve on: unix sockets, or tcp ports of loopback")
      ->type_name("KIND")
      ->capture_default_str()
      ->check(OneOf({"unix", "tcp"}));
  up.add_flag("--worker-group", cluster.form_group,
              "Let the workers exchange tokens among themselves");
  up.add_option("--gateway-config", cluster.gateway_config,
                "--config of the gateway")
      ->type_name("FILE");
  up.add_option("--worker-config", cluster.worker_config,
                "--config of each worker")
      ->type_name("FILE");
  up.add_option("--import-root", cluster.import_root,
                "Where workers may read checkpoints by themselves")
      ->type_name("DIRECTORY");
  up.add_option("--log-level", cluster.log_level,
                "Of gateway and workers: debug, info, warning or error")
      ->type_name("LEVEL")
      ->capture_default_str()
      ->check(OneOf({"debug", "info", "warning", "error"}));
  up.add_option("--start-timeout-ms", flags.start_timeout_ms,
                "Most time until all are up")
      ->type_name("MS")
      ->capture_default_str()
      ->check(IntegerIn({1, 3'600'000}));
  up.add_option("--shutdown-grace-ms", flags.shutdown_grace_ms,
                "Time for the command, and for calls in progress, to end in")
      ->type_name("MS")
      ->capture_default_str()
      ->check(IntegerIn({0, 600'000}));
  up.add_option("--gateway-binary", cluster.gateway_binary,
                "Default: switchyard-gateway beside this program")
      ->type_name("FILE");
  up.add_option("--worker-binary", cluster.worker_binary,
                "Default: switchyard-worker beside this program")
      ->type_name("FILE");
}

}  // namespace

void AddUpCommand(CLI::App& app, const std::vector<std::string>& command,
                  Action& action) {
  CLI::App& up = *app.add_subcommand(
      "up", "Start a gateway and workers on this machine, until Ctrl-C");
  const auto flags = std::make_shared<UpFlags>();
  AddFlags(up, *flags);
  up.footer(
      "switchyard up --workers 2 -- COMMAND ARGUMENTS runs a command with "
      "SWITCHYARD_GATEWAY\n(and SWITCHYARD_METRICS, the URLs of the metrics "
      "pages) set, stops the cluster when it ends,\nand exits with its code.");
  up.callback([flags, &command, &action] {
    action = [flags, &command] { return RunUp(*flags, command); };
  });
}

}  // namespace switchyard
