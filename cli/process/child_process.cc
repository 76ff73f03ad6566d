#include "cli/process/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

constexpr size_t kMaxLineBytes = 4096;

// Both ends closed on exec. Closes what is left on destruction.
struct Pipe {
  int read_fd = -1;
  int write_fd = -1;

  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  bool Open() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    read_fd = fds[0];
    write_fd = fds[1];
    return true;
  }
  void CloseRead() {
    if (read_fd >= 0) close(std::exchange(read_fd, -1));
  }
  void CloseWrite() {
    if (write_fd >= 0) close(std::exchange(write_fd, -1));
  }
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& s : strings) {
    pointers.push_back(const_cast<char*>(s.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// Gives the child the signal state of a program started by a shell, not ours:
// we block the signals that we wait for, and the child would inherit that.
void ResetSignals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE}) {
    std::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// What the child does between fork and exec, where only async-signal-safe
// calls are allowed: everything it needs was made before. Returns on error,
// with errno set.
void BecomeProgram(const ChildOptions& options, pid_t parent, int stdout_fd,
                   char* const* argv, char* const* environment) {
  if (options.background && setpgid(0, 0) != 0) return;
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return;
  // The parent may have died before the line above.
  if (getppid() != parent) _exit(1);
  if (options.background) {
    const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0) return;
  }
  if (stdout_fd >= 0 && dup2(stdout_fd, STDOUT_FILENO) < 0) return;
  ResetSignals();
  execvpe(argv[0], argv, environment);
}

// The errno that the child reports before it gives up; 0: it runs.
int ReadExecError(int fd) {
  int error = 0;
  ssize_t num_bytes;
  do {
    num_bytes = read(fd, &error, sizeof error);
  } while (num_bytes < 0 && errno == EINTR);
  return num_bytes == sizeof error ? error : 0;
}

absl::Status StartError(const std::string& program, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot run ", program));
}

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal == 0) return absl::StrCat("exit status ", code);
  return absl::StrCat("signal ", signal, " (", strsignal(signal), ")");
}

absl::StatusOr<ChildProcess> ChildProcess::Start(const ChildOptions& options) {
  if (options.argv.empty() || options.argv[0].empty()) {
    return absl::InvalidArgumentError("argv: empty, expected a program");
  }
  Pipe exec_error;
  Pipe child_stdout;
  if (!exec_error.Open() || (options.capture_stdout && !child_stdout.Open())) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  const std::vector<char*> argv = Pointers(options.argv);
  const std::vector<char*> environment = Pointers(options.environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "cannot fork");
  if (pid == 0) {
    BecomeProgram(options, parent, child_stdout.write_fd, argv.data(),
                  environment.data());
    const int error = errno;
    if (write(exec_error.write_fd, &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  exec_error.CloseWrite();
  if (const int error = ReadExecError(exec_error.read_fd); error != 0) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return StartError(options.argv[0], error);
  }
  if (options.capture_stdout) {
    fcntl(child_stdout.read_fd, F_SETFL, O_NONBLOCK);
  }
  return ChildProcess(pid, std::exchange(child_stdout.read_fd, -1));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      stdout_fd_(std::exchange(other.stdout_fd_, -1)),
      stdout_text_(std::move(other.stdout_text_)),
      exit_status_(other.exit_status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    End();
    pid_ = std::exchange(other.pid_, -1);
    stdout_fd_ = std::exchange(other.stdout_fd_, -1);
    stdout_text_ = std::move(other.stdout_text_);
    exit_status_ = other.exit_status_;
  }
  return *this;
}

ChildProcess::~ChildProcess() { End(); }

void ChildProcess::End() {
  CloseStdout();
  if (pid_ < 0 || Poll().has_value()) return;
  Signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<ExitStatus> ChildProcess::Poll() {
  if (exit_status_.has_value()) return exit_status_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  exit_status_ = WIFSIGNALED(status) ? ExitStatus{WTERMSIG(status), 0}
                                     : ExitStatus{0, WEXITSTATUS(status)};
  return exit_status_;
}

void ChildProcess::Signal(int signal) {
  // Not after the end was seen: the pid may be another process's by then.
  if (!exit_status_.has_value()) kill(pid_, signal);
}

absl::StatusOr<std::optional<std::string>> ChildProcess::PollLine() {
  std::array<char, 1024> buffer;
  while (true) {
    const size_t end = stdout_text_.find('\n');
    if (end != std::string::npos) return stdout_text_.substr(0, end);
    if (stdout_text_.size() > kMaxLineBytes) {
      return absl::FailedPreconditionError(
          "its first line of output is over 4096 bytes");
    }
    const ssize_t num_bytes = read(stdout_fd_, buffer.data(), buffer.size());
    if (num_bytes > 0) {
      stdout_text_.append(buffer.data(), static_cast<size_t>(num_bytes));
    } else if (num_bytes < 0 && errno == EAGAIN) {
      return std::nullopt;
    } else if (num_bytes == 0 || errno != EINTR) {
      return absl::FailedPreconditionError(
          "its output ended before the first line did");
    }
  }
}

void ChildProcess::CloseStdout() {
  if (stdout_fd_ >= 0) close(std::exchange(stdout_fd_, -1));
}

std::vector<std::string> EnvironmentWithout(const std::string& prefix_to_drop) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (prefix_to_drop.empty() || !absl::StartsWith(*entry, prefix_to_drop)) {
      environment.emplace_back(*entry);
    }
  }
  return environment;
}

void SetVariable(std::vector<std::string>& environment, const std::string& name,
                 const std::string& value) {
  const std::string assignment = absl::StrCat(name, "=");
  for (std::string& entry : environment) {
    if (absl::StartsWith(entry, assignment)) {
      entry = absl::StrCat(assignment, value);
      return;
    }
  }
  environment.push_back(absl::StrCat(assignment, value));
}

}  // namespace switchyard
