#include "cli/process/event_waiter.h"

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

class EventWaiterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(events_, EventWaiter::Create());
  }
  std::unique_ptr<EventWaiter> events_;
};

TEST_F(EventWaiterTest, HandsOutSignalsToStop) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    kill(getpid(), signal);
    const EventWaiter::Event event =
        events_->Wait({}, Clock::Real().Now() + kLong);
    EXPECT_EQ(event.stop_signal, signal);
    EXPECT_FALSE(event.from_terminal);
  }
}

TEST_F(EventWaiterTest, ReturnsAtTheDeadline) {
  EXPECT_EQ(events_->Wait({}, absl::InfinitePast()).stop_signal, 0);
  EXPECT_EQ(events_->Wait({}, Clock::Real().Now()).stop_signal, 0);
}

TEST_F(EventWaiterTest, ReturnsWhenThereIsSomethingToRead) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  ASSERT_EQ(write(fds[1], "x", 1), 1);
  EXPECT_EQ(events_->Wait({fds[0]}, absl::InfiniteFuture()).stop_signal, 0);
  close(fds[0]);
  close(fds[1]);
}

TEST_F(EventWaiterTest, ReturnsWhenAChildEnds) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(testing::Shell("exit 0")));
  while (!child.Poll().has_value()) {
    EXPECT_EQ(events_->Wait({}, absl::InfiniteFuture()).stop_signal, 0);
  }
}

}  // namespace
}  // namespace switchyard
