#include "common/base/call_context.h"

#include <gtest/gtest.h>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;

class StandingClock final : public Clock {
 public:
  absl::Time Now() override { return now; }
  absl::Time now = absl::UnixEpoch();
};

TEST(CallContextTest, IsOverAtItsDeadline) {
  StandingClock clock;
  const CallContext call = absl::UnixEpoch() + absl::Seconds(1);
  EXPECT_OK(call.Check(clock));
  clock.now += absl::Seconds(1);
  EXPECT_TRUE(call.IsOver(clock));
  EXPECT_THAT(call.Check(clock),
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

TEST(CallContextTest, IsCancelledWithTheCallThatItWasMadeFrom) {
  StandingClock clock;
  std::stop_source source;
  const CallContext call(absl::InfiniteFuture(), source.get_token());
  const CallContext inner = call.Until(absl::UnixEpoch() + absl::Seconds(1));
  EXPECT_FALSE(inner.IsOver(clock));
  source.request_stop();
  EXPECT_TRUE(inner.IsCancelled());
  EXPECT_THAT(inner.Check(clock), StatusIs(absl::StatusCode::kCancelled, _));
}

TEST(CallContextTest, TheEarlierDeadlineCounts) {
  const CallContext call = absl::UnixEpoch();
  EXPECT_EQ(call.Until(absl::InfiniteFuture()).deadline(), absl::UnixEpoch());
  EXPECT_EQ(call.Until(absl::InfinitePast()).deadline(), absl::InfinitePast());
}

}  // namespace
}  // namespace switchyard
