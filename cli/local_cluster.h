#ifndef SWITCHYARD_CLI_LOCAL_CLUSTER_H_
#define SWITCHYARD_CLI_LOCAL_CLUSTER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/process/child_process.h"
#include "cli/process/event_waiter.h"
#include "cli/process/socket_folder.h"

namespace switchyard {

struct LocalClusterOptions {
  std::string gateway_binary;
  std::string worker_binary;
  std::string gateway_listen = "127.0.0.1:0";
  // Workers serve on unix sockets in a folder of this user's alone; otherwise
  // on ports of loopback.
  bool unix_sockets = true;
  // Between the gateway and workers on unix sockets.
  bool shared_memory = true;
  int num_workers = 2;
  // Workers exchange tokens among themselves, as one group.
  bool form_group = false;
  int num_compute_threads_per_worker = 1;
  std::string log_level = "warning";
  // Files for --config; empty: none.
  std::string gateway_config;
  std::string worker_config;
  // Where workers may read checkpoints by themselves; empty: nowhere.
  std::string import_root;
  absl::Duration start_timeout = absl::Seconds(30);
  // What each process gets to finish calls in; it is killed 2 s after that.
  absl::Duration shutdown_grace = absl::Seconds(5);
};

// What a server prints when it is ready (services/main/server_process.h).
struct ListeningLine {
  std::string address;
  // Empty: no metrics page.
  std::string metrics_address;
};

// INVALID_ARGUMENT for anything else.
absl::StatusOr<ListeningLine> ParseListeningLine(absl::string_view line);

// A gateway and its workers as child processes. Their SWITCHYARD_ variables are
// taken away: each does what its flags say. Confined to the main thread.
class LocalCluster {
 public:
  struct Member {
    // "gateway", "w0", "w1", ...
    std::string name;
    ChildProcess process;
    ListeningLine listening;
    bool end_was_told = false;
  };
  struct EndedMember {
    std::string name;
    pid_t pid;
    ExitStatus status;
    bool is_gateway;
  };

  // Returns once the gateway says that all workers are up. UNAVAILABLE: one of
  // them ended; DEADLINE_EXCEEDED: not within the time to start; CANCELLED: a
  // signal to stop arrived. On error nothing is left running.
  static absl::StatusOr<LocalCluster> Start(const LocalClusterOptions& options,
                                            EventWaiter& events);

  // The gateway first.
  const std::vector<Member>& members() const { return members_; }
  const std::string& gateway_address() const {
    return members_.front().listening.address;
  }
  // Of all members that have one, the gateway's first.
  std::vector<std::string> MetricsUrls() const;

  // Members that ended since the last call.
  std::vector<EndedMember> TakeEnded();

  // Workers first, so that they can say goodbye to the gateway. Idempotent.
  void Stop(EventWaiter& events);

 private:
  explicit LocalCluster(LocalClusterOptions options)
      : options_(std::move(options)) {}

  absl::Status StartAll(absl::Time deadline, EventWaiter& events);
  absl::Status StartMember(const std::string& name,
                           const std::vector<std::string>& argv);
  std::vector<std::string> CommonFlags(const std::string& config) const;
  std::vector<std::string> WorkerArguments(const std::string& name) const;
  // Both until `deadline`.
  absl::Status AwaitListening(Member& member, absl::Time deadline,
                              EventWaiter& events);
  absl::Status AwaitWorkersUp(absl::Time deadline, EventWaiter& events);
  // UNAVAILABLE, naming the first member that ended.
  absl::Status CheckAllRun();

  LocalClusterOptions options_;
  // Null without unix sockets.
  std::unique_ptr<SocketFolder> sockets_;
  std::vector<Member> members_;
};

// The path of a program that lies beside this one; NOT_FOUND if there is none.
absl::StatusOr<std::string> SiblingBinary(const std::string& name);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_LOCAL_CLUSTER_H_
