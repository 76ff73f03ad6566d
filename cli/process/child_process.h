#ifndef SWITCHYARD_CLI_PROCESS_CHILD_PROCESS_H_
#define SWITCHYARD_CLI_PROCESS_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace switchyard {

// How a process ended.
struct ExitStatus {
  // 0: by itself.
  int signal = 0;
  // Where `signal` is 0.
  int code = 0;

  // As a shell reports it: the code, or 128 + signal.
  int ShellCode() const { return signal == 0 ? code : 128 + signal; }
  // "exit status 3", "signal 9 (Killed)".
  std::string ToString() const;
};

struct ChildOptions {
  // The program, looked up in PATH where it has no slash, and its arguments.
  std::vector<std::string> argv;
  // NAME=VALUE, all of it.
  std::vector<std::string> environment;
  // A process group of its own, so that a Ctrl-C in the terminal does not reach
  // it, and standard input from /dev/null.
  bool background = false;
  // Makes its standard output readable here; otherwise it is ours.
  bool capture_stdout = false;
};

// A child of this process. The kernel sends it SIGTERM when the thread that
// started it ends, however that comes about: start children from the main
// thread. Destruction kills and reaps. Thread-compatible.
class ChildProcess {
 public:
  // NOT_FOUND or PERMISSION_DENIED where the program cannot be executed.
  static absl::StatusOr<ChildProcess> Start(const ChildOptions& options);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  pid_t pid() const { return pid_; }
  // Asks the system; nullopt: it still runs.
  std::optional<ExitStatus> Poll();
  // Nothing once Poll has seen the end.
  void Signal(int signal);

  // -1 when not captured or closed.
  int stdout_fd() const { return stdout_fd_; }
  // Reads what is there without blocking. Returns the first line, without its
  // newline, once it is complete; nullopt: not yet. FAILED_PRECONDITION:
  // standard output ended before a line did, or the line is over 4 KiB.
  absl::StatusOr<std::optional<std::string>> PollLine();
  void CloseStdout();

 private:
  ChildProcess(pid_t pid, int stdout_fd) : pid_(pid), stdout_fd_(stdout_fd) {}
  void End();

  // -1: moved from.
  pid_t pid_ = -1;
  int stdout_fd_ = -1;
  std::string stdout_text_;
  std::optional<ExitStatus> exit_status_;
};

// This process's own environment as NAME=VALUE, less the variables whose names
// begin with `prefix_to_drop` (none where that is empty).
std::vector<std::string> EnvironmentWithout(const std::string& prefix_to_drop);
// Adds or replaces a variable.
void SetVariable(std::vector<std::string>& environment, const std::string& name,
                 const std::string& value);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_PROCESS_CHILD_PROCESS_H_
