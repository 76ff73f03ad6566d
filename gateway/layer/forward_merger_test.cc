#include "gateway/layer/forward_merger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <stop_token>
#include <thread>
#include <utility>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// One request: tokens of width 2 that all go to expert 0.
struct Request {
  explicit Request(float value, int64_t num_tokens = 1)
      : x(Tensor::Uninitialized({num_tokens, 2})) {
    std::fill(x.values().begin(), x.values().end(), value);
    routes.num_tokens = num_tokens;
    routes.expert_ids.assign(static_cast<size_t>(num_tokens), 0);
    routes.weights.assign(static_cast<size_t>(num_tokens), 1.0f);
  }

  Tensor x;
  TokenRoutes routes;
};

std::shared_ptr<const LayerMembership> NewMembership() {
  return std::make_shared<LayerMembership>(
      LayerMembership{.placement = Placement(PlacementMap())});
}

// Answers 10 x once it may, and writes down how many tokens came together.
class ForwardMergerTest : public ::testing::Test {
 protected:
  void MakeMerger(MergeLimits limits) {
    merger_ = std::make_unique<ForwardMerger>(
        limits, Clock::Real(), metrics_,
        [this](const LayerMembership&, const TokenRoutes& routes,
               const Tensor& x,
               const CallContext& call) { return Answer(routes, x, call); });
  }

  absl::StatusOr<ForwardExchange> Answer(const TokenRoutes& routes,
                                         const Tensor& x,
                                         const CallContext& call) {
    const std::stop_callback wake(call.cancellation(), [this] {
      MutexLock lock(mutex_);
      changed_.NotifyAll();
    });
    MutexLock lock(mutex_);
    dispatched_.push_back(routes.num_tokens);
    changed_.NotifyAll();
    while (held_ && !call.IsCancelled()) changed_.Wait(mutex_);
    if (call.IsCancelled()) return CallContext::CancelledError();
    if (routes.num_tokens > most_tokens_) {
      return absl::ResourceExhaustedError("too many tokens");
    }
    if (!error_.ok()) return error_;
    ForwardExchange exchange;
    exchange.y = Tensor::Uninitialized({x.rows(), x.cols()});
    for (int64_t i = 0; i < x.num_elements(); ++i) {
      exchange.y.data()[i] = 10 * x.data()[i];
    }
    return exchange;
  }

  void Start(float value, int64_t num_tokens = 1,
             absl::Duration timeout = absl::Seconds(60),
             std::stop_token cancellation = {}) {
    threads_.emplace_back([=, this, membership = membership_] {
      const Request request(value, num_tokens);
      const absl::StatusOr<ForwardExchange> result =
          merger_->Run(membership, request.routes, request.x,
                       CallContext(absl::Now() + timeout, cancellation));
      MutexLock lock(mutex_);
      if (result.ok()) {
        EXPECT_EQ(result->y.rows(), num_tokens);
        for (const float y : result->y.values()) EXPECT_EQ(y, 10 * value);
      }
      statuses_.push_back(result.status());
      changed_.NotifyAll();
    });
  }

  void AwaitDispatches(size_t count) {
    MutexLock lock(mutex_);
    while (dispatched_.size() < count) changed_.Wait(mutex_);
  }

  std::vector<int64_t> Dispatched() {
    MutexLock lock(mutex_);
    return dispatched_;
  }

  void LetGo() {
    MutexLock lock(mutex_);
    held_ = false;
    changed_.NotifyAll();
  }

  std::vector<absl::Status> Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    MutexLock lock(mutex_);
    return statuses_;
  }

  prometheus::Registry registry_;
  GatewayMetrics metrics_{registry_};
  std::shared_ptr<const LayerMembership> membership_ = NewMembership();
  std::unique_ptr<ForwardMerger> merger_;
  std::vector<std::thread> threads_;
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;
  int64_t most_tokens_ ABSL_GUARDED_BY(mutex_) = 1000;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> dispatched_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> statuses_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(ForwardMergerTest, RequestsThatWaitTogetherGoTogether) {
  MakeMerger(
      {.max_tokens = 6, .max_wait = absl::Seconds(60), .max_in_flight = 1});
  // The wait ends as soon as there are as many as may be.
  Start(1, 1);
  Start(2, 2);
  Start(3, 3);
  AwaitDispatches(1);
  LetGo();
  for (const absl::Status& status : Join()) EXPECT_OK(status);
  EXPECT_THAT(Dispatched(), ElementsAre(6));
}

TEST_F(ForwardMergerTest, NoMoreTokensThanAllowedGoTogether) {
  MakeMerger({.max_tokens = 4, .max_in_flight = 8});
  LetGo();
  // Larger than the limit: by itself.
  for (int i = 0; i < 20; ++i) Start(static_cast<float>(i), i % 6);
  for (const absl::Status& status : Join()) EXPECT_OK(status);
  int64_t num_tokens = 0;
  for (const int64_t n : Dispatched()) {
    EXPECT_LE(n, 5);
    num_tokens += n;
  }
  EXPECT_EQ(num_tokens, (1 + 2 + 3 + 4 + 5) * 3 + 1);
}

TEST_F(ForwardMergerTest, RequestsOfTwoMembershipsDoNotMix) {
  MakeMerger({.max_tokens = 100, .max_in_flight = 1});
  Start(1);
  AwaitDispatches(1);
  Start(2);
  membership_ = NewMembership();
  Start(3);
  LetGo();
  for (const absl::Status& status : Join()) EXPECT_OK(status);
  EXPECT_THAT(Dispatched(), ElementsAre(1, 1, 1));
}

TEST_F(ForwardMergerTest, WhatIsTooMuchTogetherIsTriedApart) {
  MakeMerger(
      {.max_tokens = 6, .max_wait = absl::Seconds(60), .max_in_flight = 1});
  {
    MutexLock lock(mutex_);
    most_tokens_ = 4;
  }
  Start(1, 4);
  Start(2, 2);
  LetGo();
  for (const absl::Status& status : Join()) EXPECT_OK(status);
  EXPECT_THAT(Dispatched(), UnorderedElementsAre(6, 4, 2));
}

TEST_F(ForwardMergerTest, AllHearThatAWorkerIsGone) {
  MakeMerger(
      {.max_tokens = 2, .max_wait = absl::Seconds(60), .max_in_flight = 1});
  {
    MutexLock lock(mutex_);
    error_ = absl::UnavailableError("gone");
  }
  Start(1);
  Start(2);
  LetGo();
  for (const absl::Status& status : Join()) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, "gone"));
  }
  EXPECT_THAT(Dispatched(), ElementsAre(2));
}

TEST_F(ForwardMergerTest, WhoIsLateBeforeItIsDispatchedLeaves) {
  MakeMerger({.max_tokens = 100, .max_in_flight = 1});
  Start(1);
  AwaitDispatches(1);
  Start(2, 1, /*timeout=*/absl::ZeroDuration());
  {
    MutexLock lock(mutex_);
    while (statuses_.empty()) changed_.Wait(mutex_);
    EXPECT_THAT(statuses_[0], StatusIs(absl::StatusCode::kDeadlineExceeded,
                                       HasSubstr("waited to be dispatched")));
  }
  Start(3);
  LetGo();
  Join();
  EXPECT_THAT(Dispatched(), ElementsAre(1, 1));
}

TEST_F(ForwardMergerTest, WhoIsCancelledBeforeItIsDispatchedLeaves) {
  MakeMerger({.max_tokens = 100, .max_in_flight = 1});
  Start(1);
  AwaitDispatches(1);
  std::stop_source client;
  Start(2, 1, absl::Hours(1), client.get_token());
  client.request_stop();
  {
    MutexLock lock(mutex_);
    while (statuses_.empty()) changed_.Wait(mutex_);
    EXPECT_THAT(statuses_[0], StatusIs(absl::StatusCode::kCancelled, _));
  }
  LetGo();
  Join();
  EXPECT_THAT(Dispatched(), ElementsAre(1));
}

TEST_F(ForwardMergerTest, OneThatIsCancelledTakesNothingFromTheOthers) {
  MakeMerger(
      {.max_tokens = 3, .max_wait = absl::Seconds(60), .max_in_flight = 1});
  std::stop_source client;
  Start(1, 1, absl::Hours(1), client.get_token());
  Start(2, 2);
  AwaitDispatches(1);
  client.request_stop();
  LetGo();
  for (const absl::Status& status : Join()) EXPECT_OK(status);
  EXPECT_THAT(Dispatched(), ElementsAre(3));
}

TEST_F(ForwardMergerTest, TheDispatchEndsWhenAllOfItAreCancelled) {
  MakeMerger(
      {.max_tokens = 3, .max_wait = absl::Seconds(60), .max_in_flight = 1});
  std::stop_source first;
  std::stop_source second;
  Start(1, 1, absl::Hours(1), first.get_token());
  Start(2, 2, absl::Hours(1), second.get_token());
  AwaitDispatches(1);
  first.request_stop();
  second.request_stop();
  // Nobody lets go: this ends by the cancellation alone.
  for (const absl::Status& status : Join()) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, _));
  }
}

}  // namespace
}  // namespace switchyard
