// Calls that are over while they run: at each look at the clock in turn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <stop_token>
#include <vector>

#include "common/base/status_testing.h"
#include "expert_worker/worker_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::_;
using ::testing::Each;

constexpr MicrobatchKey kKey = {.step = 0, .microbatch = 2};
constexpr int64_t kTokens = 300;

// Counts looks, and cancels a call at one of them. Thread-safe.
class CountingClock final : public Clock {
 public:
  absl::Time Now() override {
    if (++looks_ == cancel_at_) source_.request_stop();
    return absl::UnixEpoch();
  }
  // The call that is cancelled at the look of that number from now on.
  CallContext CancelAt(int64_t look) {
    looks_ = 0;
    cancel_at_ = look;
    source_ = std::stop_source();
    return CallContext(absl::InfiniteFuture(), source_.get_token());
  }
  int64_t looks() const { return looks_; }

 private:
  std::atomic<int64_t> looks_ = 0;
  std::atomic<int64_t> cancel_at_ = -1;
  std::stop_source source_;
};

class WorkerCancelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Wide enough that its stages are cut into many tasks.
    spec_.hidden_size = 128;
    ASSERT_OK(worker_.LoadExperts(LoadAll(spec_)));
  }

  int64_t KeptBytes() { return worker_.GetStatus().kept_activation_bytes; }
  std::vector<float> Gradients() {
    return ReadAll(worker_, spec_, ParameterKind::kGradient);
  }
  absl::Status ForwardToKeep() {
    return worker_.Forward(TrainForward(spec_, kTokens, 1, kKey)).status();
  }

  LayerSpec spec_ = SmallLayer(
      MlpExpertSpec{.ffn_size = 256, .activation = Activation::kRelu});
  CountingClock clock_;
  prometheus::Registry registry_;
  // Computes on the calling thread alone: looks come in one order.
  Worker worker_{
      {.worker_id = "w0", .num_compute_threads = 0}, clock_, registry_};
};

TEST_F(WorkerCancelTest, AForwardSkipsWhatIsLeftAndKeepsNothing) {
  ASSERT_OK(
      worker_.Forward(RandomForward(spec_, kTokens, 1), clock_.CancelAt(-1)));
  const int64_t all_looks = clock_.looks();
  ASSERT_GT(all_looks, 10);
  const ExpertForwardRequest request = TrainForward(spec_, kTokens, 1, kKey);
  for (int64_t look = 2; look < all_looks - 1; ++look) {
    const auto result = worker_.Forward(request, clock_.CancelAt(look));
    ASSERT_THAT(result, StatusIs(absl::StatusCode::kCancelled, _)) << look;
    EXPECT_EQ(clock_.looks(), look) << "it computed on";
    EXPECT_EQ(KeptBytes(), 0);
  }
  EXPECT_OK(worker_.Forward(request, clock_.CancelAt(-1)));
  EXPECT_GT(KeptBytes(), 0);
}

TEST_F(WorkerCancelTest, ABackwardAddsAllOrNothing) {
  const ExpertBackwardRequest request = RandomBackward(spec_, kTokens, 1, kKey);
  const StepKey step = StepOf(spec_, 0);
  ASSERT_OK(ForwardToKeep());
  ASSERT_OK(worker_.Backward(request, clock_.CancelAt(-1)));
  const std::vector<float> whole = Gradients();
  ASSERT_OK(worker_.AbortStep(step));
  int num_stopped = 0;
  bool was_cancelled = true;
  for (int64_t look = 1; was_cancelled; ++look) {
    ASSERT_OK(ForwardToKeep());
    const auto result = worker_.Backward(request, clock_.CancelAt(look));
    was_cancelled = clock_.looks() >= look;
    EXPECT_EQ(KeptBytes(), 0);
    if (result.ok()) {
      EXPECT_EQ(Gradients(), whole) << look;
      ASSERT_OK(worker_.AbortStep(step));
    } else {
      ++num_stopped;
      ASSERT_THAT(result, StatusIs(absl::StatusCode::kCancelled, _));
      EXPECT_THAT(Gradients(), Each(0.0f)) << look;
    }
  }
  EXPECT_GT(num_stopped, 5);
}

TEST_F(WorkerCancelTest, ADroppedMicrobatchIsForgotten) {
  ASSERT_OK(ForwardToKeep());
  EXPECT_OK(worker_.DropMicrobatch(spec_.name, kKey));
  EXPECT_EQ(KeptBytes(), 0);
  EXPECT_OK(worker_.DropMicrobatch(spec_.name, kKey));
  EXPECT_OK(worker_.DropMicrobatch("unknown", kKey));
}

}  // namespace
}  // namespace switchyard::testing
