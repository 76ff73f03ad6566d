#include "services/main/worker_flags.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/rpc/address.h"

namespace switchyard {
namespace {

// A host's name and a process's id: unique among live workers unless hosts
// share a name.
std::string DefaultWorkerId() {
  std::array<char, 65> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) name = {"worker"};
  std::string host(name.data());
  for (char& c : host) {
    if (!CheckWorkerId(std::string(1, c), "").ok()) c = '-';
  }
  return absl::StrCat(host, "-", getpid());
}

int DefaultNumComputeThreads() {
  const unsigned num_cores = std::thread::hardware_concurrency();
  return static_cast<int>(std::clamp(num_cores, 1u, 1024u));
}

bool IsWildcard(absl::string_view address) {
  for (const absl::string_view wildcard : {"0.0.0.0:", "[::]:"}) {
    if (address.substr(0, wildcard.size()) == wildcard) return true;
  }
  return false;
}

void AddWorkerFlags(FlagParser& parser, WorkerServerOptions& server) {
  parser.BeginGroup("Registration");
  parser.AddText("gateway", "ADDRESS",
                 "The gateway to register with (required)",
                 server.gateway_address, CheckDialAddress);
  parser.AddText("worker-id", "ID", "Name, unique among live workers",
                 server.worker.worker_id, CheckWorkerId);
  parser.AddText("advertise", "ADDRESS",
                 "Where the gateway reaches this worker, if that is not what "
                 "it listens on",
                 server.advertise_address, CheckDialAddress);
  parser.AddText("group", "NAME",
                 "Exchange tokens with the workers of this group directly; "
                 "default: with none",
                 server.group, CheckWorkerId);
  parser.AddText("group-listen-host", "HOST",
                 "Name or IP address of this machine where they reach this "
                 "worker, at a port that the system chooses: a network of "
                 "their own, for nothing there is encrypted",
                 server.group_listen_host, CheckHost);
}

void AddComputeFlags(FlagParser& parser, WorkerOptions& worker) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int64_t>::max();
  parser.BeginGroup("Compute");
  parser.AddInteger("num-compute-threads", {1, 1024},
                    "Threads that compute; default: one for each core",
                    worker.num_compute_threads);
  parser.AddInteger("max-parameter-bytes", {1, kMaxBytes},
                    "Most bytes of parameters, gradients and optimizer state",
                    worker.max_parameter_bytes);
  parser.AddInteger("max-kept-activation-bytes", {0, kMaxBytes},
                    "Most bytes kept for Backward",
                    worker.max_kept_activation_bytes);
  parser.AddInteger("max-working-bytes", {1, kMaxBytes},
                    "Most bytes that calls in progress compute with",
                    worker.max_working_bytes);
  parser.AddText("import-root", "DIRECTORY",
                 "Where this worker may read checkpoints by itself, with all "
                 "that is below; default: nowhere",
                 worker.import_root, CheckDirectory);
  parser.AddMilliseconds("kept-activation-ttl-ms", {1, 86'400'000},
                         "How long they are kept at most",
                         worker.kept_activation_ttl);
}

// What no flag can check by itself.
absl::Status CheckTogether(const WorkerServerOptions& server) {
  if (server.gateway_address.empty()) {
    return absl::InvalidArgumentError(
        "--gateway: not given, expected the gateway's host:port or "
        "unix:/path");
  }
  if (server.advertise_address.empty() && IsWildcard(server.listen_address)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--advertise: not given, expected the host:port at which the gateway "
        "reaches this worker, because --listen is ",
        server.listen_address));
  }
  return absl::OkStatus();
}

}  // namespace

std::variant<WorkerFlags, FlagExit> ParseWorkerFlags(int argc,
                                                     const char* const* argv) {
  WorkerFlags flags;
  flags.server.worker.worker_id = DefaultWorkerId();
  flags.server.worker.num_compute_threads = DefaultNumComputeThreads();
  FlagParser parser("switchyard-worker",
                    "Hosts experts of MoE layers and computes them for the "
                    "gateway that it registers with.");
  AddAddressFlags(parser, flags.server.listen_address,
                  flags.server.metrics_address);
  AddWorkerFlags(parser, flags.server);
  AddComputeFlags(parser, flags.server.worker);
  AddLimitFlags(parser, flags.server.limits);
  AddProcessFlags(parser, flags.process);
  if (const std::optional<FlagExit> flag_exit = parser.Parse(argc, argv)) {
    return *flag_exit;
  }
  if (const absl::Status status = CheckTogether(flags.server); !status.ok()) {
    return parser.Mistake(status.message());
  }
  return flags;
}

}  // namespace switchyard
