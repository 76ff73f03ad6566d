#include "cli/supervise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/local_cluster_testing.h"
#include "cli/process/process_testing.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::kLong;
using ::switchyard::testing::Shell;
using ::switchyard::testing::WaitForLine;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SuperviseTest : public testing::LocalClusterTestBase {
 protected:
  void SetUp() override {
    LocalClusterTestBase::SetUp();
    absl::StatusOr<LocalCluster> cluster =
        LocalCluster::Start(options_, *events_);
    ASSERT_OK(cluster);
    cluster_.emplace(*std::move(cluster));
  }
  void TearDown() override {
    if (cluster_.has_value()) cluster_->Stop(*events_);
    LocalClusterTestBase::TearDown();
  }
  // A command that has come as far as printing a line.
  ChildProcess StartReady(const std::string& script) {
    absl::StatusOr<ChildProcess> child = ChildProcess::Start(Shell(script));
    EXPECT_OK(child);
    EXPECT_OK(WaitForLine(*child, *events_));
    return *std::move(child);
  }
  pid_t PidOf(size_t member) const {
    return cluster_->members()[member].process.pid();
  }

  std::optional<LocalCluster> cluster_;
};

TEST_F(SuperviseTest, EndsWithTheCommandsCode) {
  ASSERT_OK_AND_ASSIGN(ChildProcess command,
                       ChildProcess::Start(Shell("exit 42")));
  EXPECT_EQ(Supervise(*cluster_, &command, kLong, *events_), 42);
  ASSERT_OK_AND_ASSIGN(ChildProcess killed,
                       ChildProcess::Start(Shell("kill -TERM $$")));
  EXPECT_EQ(Supervise(*cluster_, &killed, kLong, *events_), 128 + SIGTERM);
}

TEST_F(SuperviseTest, WithoutACommandASignalEndsItWell) {
  kill(getpid(), SIGTERM);
  EXPECT_EQ(Supervise(*cluster_, nullptr, kLong, *events_), 0);
}

TEST_F(SuperviseTest, ASignalIsHandedToTheCommandWhichMayCleanUp) {
  ChildProcess command =
      StartReady("trap 'exit 9' INT; echo up; while :; do sleep 0.01; done");
  kill(getpid(), SIGINT);
  EXPECT_EQ(Supervise(*cluster_, &command, kLong, *events_), 9);
  EXPECT_TRUE(cluster_->TakeEnded().empty())
      << "the cluster went before its user";
}

TEST_F(SuperviseTest, ACommandThatDoesNotHeedSignalsIsKilledInTheEnd) {
  ChildProcess command = StartReady("trap '' INT TERM; echo up; exec sleep 60");
  kill(getpid(), SIGINT);
  EXPECT_EQ(Supervise(*cluster_, &command, absl::Milliseconds(20), *events_),
            128 + SIGKILL);
}

TEST_F(SuperviseTest, TheSecondSignalKillsTheCommand) {
  ChildProcess command = StartReady("trap '' INT TERM; echo up; exec sleep 60");
  kill(getpid(), SIGINT);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(Supervise(*cluster_, &command, kLong, *events_), 128 + SIGKILL);
}

TEST_F(SuperviseTest, AWorkerThatDiesIsToldOfAndTheOthersGoOn) {
  kill(PidOf(1), SIGKILL);
  siginfo_t end;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(PidOf(1)), &end, WEXITED | WNOWAIT),
            0);
  ASSERT_OK_AND_ASSIGN(ChildProcess command,
                       ChildProcess::Start(Shell("exit 6")));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Supervise(*cluster_, &command, kLong, *events_), 6);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr(absl::StrCat("w0 (pid ", PidOf(1), ")")),
                    HasSubstr("signal 9 (Killed); the others go on")));
}

TEST_F(SuperviseTest, TheGatewaysEndIsTheEndOfEverything) {
  ChildProcess command = StartReady("echo up; exec sleep 60");
  kill(PidOf(0), SIGKILL);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Supervise(*cluster_, &command, kLong, *events_), 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("signal 9 (Killed); stopping everything"));
  ASSERT_TRUE(command.Poll().has_value());
  EXPECT_EQ(command.Poll()->signal, SIGTERM);
}

}  // namespace
}  // namespace switchyard
