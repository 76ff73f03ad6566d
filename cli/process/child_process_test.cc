#include "cli/process/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "cli/process/event_waiter.h"
#include "cli/process/process_testing.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::Shell;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::WaitForEnd;
using ::switchyard::testing::WaitForLine;
using ::testing::_;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class ChildProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(events_, EventWaiter::Create());
  }
  std::unique_ptr<EventWaiter> events_;
};

TEST_F(ChildProcessTest, ReportsTheExitCode) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("exit 7")));
  const std::optional<ExitStatus> end = WaitForEnd(child, *events_);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->signal, 0);
  EXPECT_EQ(end->ShellCode(), 7);
  EXPECT_EQ(end->ToString(), "exit status 7");
}

TEST_F(ChildProcessTest, ReportsTheSignalThatEndedIt) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("kill -KILL $$")));
  const std::optional<ExitStatus> end = WaitForEnd(child, *events_);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->ShellCode(), 137);
  EXPECT_EQ(end->ToString(), "signal 9 (Killed)");
}

TEST_F(ChildProcessTest, AProgramThatIsNotThereIsAnErrorNotAChild) {
  ChildOptions options = Shell("");
  options.argv = {"/nonexistent/program"};
  EXPECT_THAT(
      ChildProcess::Start(options),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/program")));
  options.argv = {"/dev/null"};
  EXPECT_THAT(ChildProcess::Start(options),
              StatusIs(absl::StatusCode::kPermissionDenied, _));
  options.argv = {};
  EXPECT_THAT(ChildProcess::Start(options),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_F(ChildProcessTest, ReadsTheFirstLineOnly) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("echo one; echo two")));
  ASSERT_OK_AND_ASSIGN(const std::string line, WaitForLine(child, *events_));
  EXPECT_EQ(line, "one");
}

TEST_F(ChildProcessTest, OutputThatEndsWithoutALineIsAnError) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("printf half")));
  EXPECT_THAT(
      WaitForLine(child, *events_),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("ended")));
}

TEST_F(ChildProcessTest, AnEndlessFirstLineIsAnError) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("tr '\\0' x < /dev/zero")));
  EXPECT_THAT(
      WaitForLine(child, *events_),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("4096")));
}

TEST_F(ChildProcessTest, SeesTheEnvironmentItWasGiven) {
  ChildOptions options = Shell("echo \"$FRUIT $COLOUR\"");
  SetVariable(options.environment, "FRUIT", "pear");
  SetVariable(options.environment, "COLOUR", "green");
  SetVariable(options.environment, "FRUIT", "plum");
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(options));
  ASSERT_OK_AND_ASSIGN(const std::string line, WaitForLine(child, *events_));
  EXPECT_EQ(line, "plum green");
}

TEST_F(ChildProcessTest, EnvironmentWithoutDropsByPrefix) {
  setenv("SWITCHYARD_TEST_DROPPED", "1", 1);
  setenv("OTHER_TEST_KEPT", "1", 1);
  EXPECT_THAT(EnvironmentWithout("SWITCHYARD_"),
              AllOf(Contains("OTHER_TEST_KEPT=1"),
                    ::testing::Not(Contains("SWITCHYARD_TEST_DROPPED=1"))));
  EXPECT_THAT(EnvironmentWithout(""), Contains("SWITCHYARD_TEST_DROPPED=1"));
}

// The parent blocks SIGTERM to wait for it; a child that inherited that could
// not be stopped.
TEST_F(ChildProcessTest, DoesNotInheritOurBlockedSignals) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("echo up; exec sleep 60")));
  ASSERT_OK(WaitForLine(child, *events_));
  child.Signal(SIGTERM);
  const std::optional<ExitStatus> end = WaitForEnd(child, *events_);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->signal, SIGTERM);
}

TEST_F(ChildProcessTest, InTheBackgroundItHasItsOwnGroupAndNoInput) {
  ChildOptions options = Shell("cat; echo end; read never || exec sleep 60");
  options.background = true;
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(options));
  ASSERT_OK_AND_ASSIGN(const std::string line, WaitForLine(child, *events_));
  EXPECT_EQ(line, "end");
  EXPECT_EQ(getpgid(child.pid()), child.pid());
}

TEST_F(ChildProcessTest, InTheForegroundItSharesOurGroup) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("echo up; exec sleep 60")));
  ASSERT_OK(WaitForLine(child, *events_));
  EXPECT_EQ(getpgid(child.pid()), getpgrp());
}

TEST_F(ChildProcessTest, DestructionKillsAndReaps) {
  pid_t pid = 0;
  {
    ASSERT_OK_AND_ASSIGN(
        ChildProcess child,
        ChildProcess::Start(Shell("trap '' TERM; echo up; exec sleep 60")));
    ASSERT_OK(WaitForLine(child, *events_));
    pid = child.pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(ChildProcessTest, AMovedFromChildIsNobodysConcern) {
  ASSERT_OK_AND_ASSIGN(ChildProcess first,
                       ChildProcess::Start(Shell("exit 3")));
  ChildProcess second = std::move(first);
  const std::optional<ExitStatus> end = WaitForEnd(second, *events_);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 3);
}

// A middle process starts a child and is killed like a supervisor by the
// system. Both hold the write end of a pipe: its end of file says that both
// are gone.
TEST_F(ChildProcessTest, DiesWithTheProcessThatStartedIt) {
  int alive[2];
  ASSERT_EQ(pipe(alive), 0);
  const pid_t middle = fork();
  ASSERT_GE(middle, 0);
  if (middle == 0) {
    close(alive[0]);
    ChildOptions options = Shell("echo up; exec sleep 60");
    options.background = true;
    absl::StatusOr<ChildProcess> child = ChildProcess::Start(options);
    if (child.ok() && WaitForLine(*child, *events_).ok())
      kill(getpid(), SIGKILL);
    _exit(1);
  }
  close(alive[1]);
  int status = 0;
  ASSERT_EQ(waitpid(middle, &status, 0), middle);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child did not start";
  pollfd end_of_file = {alive[0], POLLIN, 0};
  EXPECT_EQ(poll(&end_of_file, 1, 30'000), 1) << "the grandchild lives on";
  char byte;
  EXPECT_EQ(read(alive[0], &byte, 1), 0);
  close(alive[0]);
}

}  // namespace
}  // namespace switchyard
