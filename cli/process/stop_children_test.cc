#include "cli/process/stop_children.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "cli/process/process_testing.h"
#include "common/base/clock.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::kLong;
using ::switchyard::testing::Shell;
using ::switchyard::testing::WaitForLine;

// The shell must not wait for a sleep before it runs its trap: read is
// interrupted.
constexpr char kPolite[] =
    "trap 'exit 5' TERM; echo up; while :; do read x; done";
constexpr char kStubborn[] = "trap '' TERM; echo up; exec sleep 60";

class StopChildrenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(events_, EventWaiter::Create());
    ASSERT_EQ(pipe(silent_stdin_), 0);
    saved_stdin_ = dup(STDIN_FILENO);
    dup2(silent_stdin_[0], STDIN_FILENO);
  }
  void TearDown() override {
    dup2(saved_stdin_, STDIN_FILENO);
    for (const int fd : {saved_stdin_, silent_stdin_[0], silent_stdin_[1]}) {
      close(fd);
    }
  }
  // Waits until the script has set its trap.
  absl::StatusOr<ChildProcess> StartReady(const std::string& script) {
    SWITCHYARD_ASSIGN_OR_RETURN(ChildProcess child,
                                ChildProcess::Start(Shell(script)));
    SWITCHYARD_RETURN_IF_ERROR(WaitForLine(child, *events_).status());
    return child;
  }
  std::unique_ptr<EventWaiter> events_;
  int silent_stdin_[2];
  int saved_stdin_ = -1;
};

TEST_F(StopChildrenTest, LetsThemEndByThemselves) {
  ASSERT_OK_AND_ASSIGN(ChildProcess a, StartReady(kPolite));
  ASSERT_OK_AND_ASSIGN(ChildProcess b, StartReady(kPolite));
  StopChildren({&a, nullptr, &b}, kLong, *events_);
  ASSERT_TRUE(a.Poll().has_value());
  ASSERT_TRUE(b.Poll().has_value());
  EXPECT_EQ(a.Poll()->ToString(), "exit status 5");
  EXPECT_EQ(b.Poll()->ToString(), "exit status 5");
}

TEST_F(StopChildrenTest, KillsThoseThatOutliveTheGrace) {
  ASSERT_OK_AND_ASSIGN(ChildProcess polite, StartReady(kPolite));
  ASSERT_OK_AND_ASSIGN(ChildProcess stubborn, StartReady(kStubborn));
  StopChildren({&polite, &stubborn}, absl::Seconds(1), *events_);
  ASSERT_TRUE(polite.Poll().has_value());
  ASSERT_TRUE(stubborn.Poll().has_value());
  EXPECT_EQ(polite.Poll()->code, 5);
  EXPECT_EQ(stubborn.Poll()->signal, SIGKILL);
}

TEST_F(StopChildrenTest, ASignalToStopCutsTheGraceShort) {
  ASSERT_OK_AND_ASSIGN(ChildProcess stubborn, StartReady(kStubborn));
  kill(getpid(), SIGINT);
  StopChildren({&stubborn}, absl::InfiniteDuration(), *events_);
  ASSERT_TRUE(stubborn.Poll().has_value());
  EXPECT_EQ(stubborn.Poll()->signal, SIGKILL);
}

TEST_F(StopChildrenTest, WaitForChildrenSaysWhetherSomeStillRun) {
  ASSERT_OK_AND_ASSIGN(ChildProcess ended,
                       ChildProcess::Start(Shell("exit 0")));
  EXPECT_TRUE(WaitForChildren({&ended}, Clock::Real().Now() + kLong, *events_));
  ASSERT_OK_AND_ASSIGN(ChildProcess running, StartReady(kPolite));
  EXPECT_FALSE(
      WaitForChildren({&ended, &running}, Clock::Real().Now(), *events_));
}

}  // namespace
}  // namespace switchyard
