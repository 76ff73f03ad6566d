#include "cli/local_cluster.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/process/stop_children.h"
#include "client/gateway_client.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

// Between two looks at the registry while workers join.
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);
// After its own grace a server has only to take itself down.
constexpr absl::Duration kKillMargin = absl::Seconds(2);

// Waits; CANCELLED when told to stop, DEADLINE_EXCEEDED when it is too late.
absl::Status AwaitEvent(const std::vector<int>& fds, absl::Time until,
                        absl::Time deadline, absl::string_view what,
                        EventWaiter& events) {
  if (Clock::Real().Now() >= deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat("gave up waiting for ", what));
  }
  if (events.Wait(fds, std::min(until, deadline)).stop_signal != 0) {
    return absl::CancelledError(
        absl::StrCat("stopped while waiting for ", what));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ListeningLine> ParseListeningLine(absl::string_view line) {
  ListeningLine parsed;
  bool has_metrics = false;
  for (absl::string_view word : absl::StrSplit(line, ' ')) {
    if (absl::ConsumePrefix(&word, "grpc=")) {
      parsed.address = std::string(word);
    } else if (absl::ConsumePrefix(&word, "metrics=")) {
      has_metrics = true;
      if (word != "none") parsed.metrics_address = std::string(word);
    }
  }
  if (parsed.address.empty() || !has_metrics) {
    return absl::InvalidArgumentError(
        absl::StrCat("got line '", line, "', expected grpc= and metrics="));
  }
  return parsed;
}

absl::StatusOr<LocalCluster> LocalCluster::Start(
    const LocalClusterOptions& options, EventWaiter& events) {
  LocalCluster cluster(options);
  const absl::Time deadline = Clock::Real().Now() + options.start_timeout;
  const absl::Status status = cluster.StartAll(deadline, events);
  if (!status.ok()) {
    cluster.Stop(events);
    return status;
  }
  return cluster;
}

absl::Status LocalCluster::StartAll(absl::Time deadline, EventWaiter& events) {
  // Members stay where they are from here on.
  members_.reserve(static_cast<size_t>(options_.num_workers) + 1);
  std::vector<std::string> argv = {options_.gateway_binary, "--listen",
                                   options_.gateway_listen};
  for (std::string& flag : CommonFlags(options_.gateway_config)) {
    argv.push_back(std::move(flag));
  }
  if (!options_.shared_memory) {
    argv.insert(argv.end(), {"--worker-shared-memory-bytes", "0"});
  }
  if (options_.unix_sockets) {
    SWITCHYARD_ASSIGN_OR_RETURN(sockets_, SocketFolder::Create());
  }
  SWITCHYARD_RETURN_IF_ERROR(StartMember("gateway", argv));
  SWITCHYARD_RETURN_IF_ERROR(
      AwaitListening(members_.front(), deadline, events));

  for (int i = 0; i < options_.num_workers; ++i) {
    const std::string name = absl::StrCat("w", i);
    SWITCHYARD_RETURN_IF_ERROR(StartMember(name, WorkerArguments(name)));
  }
  for (size_t i = 1; i < members_.size(); ++i) {
    SWITCHYARD_RETURN_IF_ERROR(AwaitListening(members_[i], deadline, events));
  }
  return AwaitWorkersUp(deadline, events);
}

std::vector<std::string> LocalCluster::WorkerArguments(
    const std::string& name) const {
  std::vector<std::string> argv = {
      options_.worker_binary,
      "--listen",
      sockets_ != nullptr ? sockets_->AddressOf(name) : "127.0.0.1:0",
      "--gateway",
      gateway_address(),
      "--worker-id",
      name,
      "--num-compute-threads",
      absl::StrCat(options_.num_compute_threads_per_worker)};
  if (options_.form_group) argv.insert(argv.end(), {"--group", "local"});
  if (!options_.import_root.empty()) {
    argv.insert(argv.end(), {"--import-root", options_.import_root});
  }
  for (std::string& flag : CommonFlags(options_.worker_config)) {
    argv.push_back(std::move(flag));
  }
  return argv;
}

std::vector<std::string> LocalCluster::CommonFlags(
    const std::string& config) const {
  std::vector<std::string> flags = {
      "--metrics-listen",
      "127.0.0.1:0",
      "--log-level",
      options_.log_level,
      "--shutdown-grace-ms",
      absl::StrCat(absl::ToInt64Milliseconds(options_.shutdown_grace))};
  if (!config.empty()) {
    flags.push_back("--config");
    flags.push_back(config);
  }
  return flags;
}

absl::Status LocalCluster::StartMember(const std::string& name,
                                       const std::vector<std::string>& argv) {
  ChildOptions options;
  options.argv = argv;
  options.environment = EnvironmentWithout("SWITCHYARD_");
  options.background = true;
  options.capture_stdout = true;
  SWITCHYARD_ASSIGN_OR_RETURN(ChildProcess process,
                              ChildProcess::Start(options));
  members_.push_back({name, std::move(process), {}});
  return absl::OkStatus();
}

absl::Status LocalCluster::AwaitListening(Member& member, absl::Time deadline,
                                          EventWaiter& events) {
  while (true) {
    const absl::StatusOr<std::optional<std::string>> line =
        member.process.PollLine();
    if (line.ok() && line->has_value()) {
      SWITCHYARD_ASSIGN_OR_RETURN(member.listening, ParseListeningLine(**line));
      member.process.CloseStdout();
      return absl::OkStatus();
    }
    SWITCHYARD_RETURN_IF_ERROR(CheckAllRun());
    // Output that has ended would wake us at once, again and again; the end of
    // its process follows.
    const std::vector<int> fds =
        line.ok() ? std::vector<int>{member.process.stdout_fd()}
                  : std::vector<int>();
    SWITCHYARD_RETURN_IF_ERROR(AwaitEvent(
        fds, deadline, deadline,
        absl::StrCat(member.name, " to say what it listens on"), events));
  }
}

absl::Status LocalCluster::AwaitWorkersUp(absl::Time deadline,
                                          EventWaiter& events) {
  GatewayClientOptions client_options;
  client_options.timeout = absl::Seconds(2);
  GatewayClient client(gateway_address(), client_options);
  // A worker alone makes no group.
  const bool forms_group = options_.form_group && options_.num_workers > 1;
  while (true) {
    int num_up = 0;
    // An error is no reason to give up before the deadline is.
    const absl::StatusOr<WorkerList> list = client.ListWorkers();
    if (list.ok()) {
      for (const WorkerStatus& worker : list->workers) {
        const bool is_up = worker.state == WorkerState::kUp &&
                           (!forms_group || worker.group_connected);
        num_up += is_up ? 1 : 0;
      }
    }
    if (num_up >= options_.num_workers) return absl::OkStatus();
    SWITCHYARD_RETURN_IF_ERROR(CheckAllRun());
    SWITCHYARD_RETURN_IF_ERROR(
        AwaitEvent({}, Clock::Real().Now() + kLookInterval, deadline,
                   absl::StrCat("workers to register: ", num_up, " of ",
                                options_.num_workers, " are up"),
                   events));
  }
}

absl::Status LocalCluster::CheckAllRun() {
  for (Member& member : members_) {
    if (const std::optional<ExitStatus> end = member.process.Poll()) {
      return absl::UnavailableError(
          absl::StrCat(member.name, " (pid ", member.process.pid(),
                       ") ended while starting: ", end->ToString()));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> LocalCluster::MetricsUrls() const {
  std::vector<std::string> urls;
  for (const Member& member : members_) {
    const std::string& address = member.listening.metrics_address;
    if (!address.empty()) {
      urls.push_back(absl::StrCat("http://", address, "/metrics"));
    }
  }
  return urls;
}

std::vector<LocalCluster::EndedMember> LocalCluster::TakeEnded() {
  std::vector<EndedMember> ended;
  for (Member& member : members_) {
    const std::optional<ExitStatus> status = member.process.Poll();
    if (!status.has_value() || member.end_was_told) continue;
    member.end_was_told = true;
    ended.push_back({member.name, member.process.pid(), *status,
                     &member == &members_.front()});
  }
  return ended;
}

void LocalCluster::Stop(EventWaiter& events) {
  const absl::Duration patience = options_.shutdown_grace + kKillMargin;
  std::vector<ChildProcess*> workers;
  for (size_t i = 1; i < members_.size(); ++i) {
    workers.push_back(&members_[i].process);
  }
  StopChildren(workers, patience, events);
  if (!members_.empty()) {
    StopChildren({&members_.front().process}, patience, events);
  }
}

absl::StatusOr<std::string> SiblingBinary(const std::string& name) {
  std::array<char, 4096> self{};
  const ssize_t length =
      readlink("/proc/self/exe", self.data(), self.size() - 1);
  if (length <= 0) {
    return absl::NotFoundError("cannot read /proc/self/exe");
  }
  const std::string own_path(self.data(), static_cast<size_t>(length));
  const std::string path =
      absl::StrCat(own_path.substr(0, own_path.rfind('/') + 1), name);
  if (access(path.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("no program ", path, "; expected it beside ", own_path));
  }
  return path;
}

}  // namespace switchyard
