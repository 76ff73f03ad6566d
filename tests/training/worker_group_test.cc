// Workers that exchange tokens among themselves: that they do, and what happens
// when one of them fails or goes. That they change no bit of any result is
// shown in equivalence_test.cc.
#include <prometheus/registry.h>

#include <atomic>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "embedded/embedded_cluster.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::_;
using ::testing::HasSubstr;

absl::Time Deadline() { return absl::Now() + absl::Seconds(60); }

class WorkerGroupTest : public ::testing::Test {
 protected:
  WorkerGroupTest() : cluster_({.num_workers = 4, .form_group = true}) {}

  void CreateLayer(const std::string& name, int32_t ep_size) {
    LayerSpec spec;
    spec.name = name;
    spec.hidden_size = 4;
    spec.num_experts = 4;
    spec.expert = LinearExpertSpec{};
    spec.gate.k = 2;
    spec.capacity.drop_tokens = false;
    spec.ep_size = ep_size;
    ASSERT_OK(gateway().CreateLayer(spec, Deadline()));
  }
  static ForwardRequest Request(Mode mode, int64_t num_tokens = 32) {
    ForwardRequest request;
    request.layer = "moe";
    request.mode = mode;
    request.x = RandomTensor({num_tokens, 4}, 1);
    return request;
  }
  static BackwardRequest BackwardOf(const ForwardResult& forward) {
    BackwardRequest request;
    request.layer = "moe";
    request.step = forward.step;
    request.microbatch = forward.microbatch;
    request.grad_y = RandomTensor({32, 4}, 2);
    return request;
  }
  // Calls of groups that ended so.
  double NumCalls(const std::string& outcome) {
    for (const auto& family : cluster_.metrics().Collect()) {
      if (family.name != "switchyard_group_calls_total") continue;
      for (const auto& metric : family.metric) {
        if (metric.label.front().value == outcome) return metric.counter.value;
      }
    }
    ADD_FAILURE() << outcome;
    return -1;
  }
  bool IsConnected(int worker) {
    return gateway()
        .ListWorkers()
        .workers[static_cast<size_t>(worker)]
        .group_connected;
  }
  // What a gateway server does all the time.
  void AwaitConnected(int worker, bool connected) {
    const absl::Time until = Deadline();
    while (IsConnected(worker) != connected) {
      ASSERT_LT(absl::Now(), until);
      gateway().FormGroups();
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  Gateway& gateway() { return cluster_.gateway(); }

  EmbeddedCluster cluster_;
};

TEST_F(WorkerGroupTest, BatchesGoThroughTheGroup) {
  CreateLayer("moe", /*ep_size=*/0);
  for (int worker = 0; worker < 4; ++worker) EXPECT_TRUE(IsConnected(worker));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  EXPECT_EQ(NumCalls("done"), 1);
  ASSERT_OK(gateway().Backward(BackwardOf(forward), Deadline()));
  EXPECT_EQ(NumCalls("done"), 2);
  ASSERT_OK(
      gateway().Step({.layer = "moe", .learning_rate = 0.1f}, Deadline()));
  // Fewer tokens than members: some get none.
  ASSERT_OK(gateway().Forward(Request(Mode::kEval, 1), Deadline()));
  EXPECT_EQ(NumCalls("done"), 3);
}

TEST_F(WorkerGroupTest, ManyCallersTakeTheirTurns) {
  CreateLayer("moe", /*ep_size=*/0);
  ASSERT_OK_AND_ASSIGN(const ForwardResult want,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        const auto got = gateway().Forward(Request(Mode::kEval), Deadline());
        ASSERT_OK(got);
        ASSERT_EQ(got->y.values(), want.y.values());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(NumCalls("done"), 201);
}

TEST_F(WorkerGroupTest, WhatOneMemberFailsWithIsTheAnswerAndCostsNothing) {
  CreateLayer("moe", /*ep_size=*/0);
  CreateLayer("other", /*ep_size=*/0);
  ASSERT_OK(cluster_.worker(2).UnloadExperts("moe"));
  EXPECT_THAT(
      gateway().Forward(Request(Mode::kEval), Deadline()),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("moe")));
  EXPECT_EQ(NumCalls("failed"), 1);
  ForwardRequest other = Request(Mode::kEval);
  other.layer = "other";
  ASSERT_OK(gateway().Forward(other, Deadline()));
  EXPECT_EQ(NumCalls("done"), 1);
  EXPECT_EQ(NumCalls("broken"), 0);
}

TEST_F(WorkerGroupTest, CallersThatLeaveOrAreLateDoNotBreakIt) {
  CreateLayer("moe", /*ep_size=*/0);
  std::atomic<int> num_ok = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        std::stop_source caller;
        std::thread leaving([&] {
          if (t % 2 == 0) caller.request_stop();
        });
        const auto got = gateway().Forward(
            Request(Mode::kEval),
            CallContext(t == 1 ? absl::Now() + absl::Microseconds(100 + 20 * i)
                               : Deadline(),
                        caller.get_token()));
        leaving.join();
        if (got.ok()) ++num_ok;
        if (t == 3) {
          EXPECT_OK(got);
        }
        EXPECT_FALSE(absl::IsUnavailable(got.status())) << got.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(num_ok, 50);
  EXPECT_EQ(NumCalls("broken"), 0);
  EXPECT_TRUE(IsConnected(0));
}

TEST_F(WorkerGroupTest, AfterAMemberLeftInferenceGoesOnAndTheRestRegroup) {
  CreateLayer("moe", /*ep_size=*/2);
  ASSERT_OK_AND_ASSIGN(const ForwardResult before,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  ASSERT_OK(gateway().DeregisterWorker("w1", 1));
  // Before the gateway has looked: through the old group, whose member w1 may
  // still carry tokens though it hosts none of the layer's experts any more.
  ASSERT_OK(gateway().Forward(Request(Mode::kEval), Deadline()));
  AwaitConnected(1, false);
  AwaitConnected(0, true);
  const double num_done = NumCalls("done");
  ASSERT_OK_AND_ASSIGN(const ForwardResult after,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  EXPECT_EQ(NumCalls("done"), num_done + 1);
  for (int64_t i = 0; i < before.y.num_elements(); ++i) {
    EXPECT_NEAR(after.y.data()[i], before.y.data()[i], 1e-6);
  }
}

TEST_F(WorkerGroupTest, AGroupThatBreaksCostsInferenceNothingAndIsFormedAnew) {
  CreateLayer("moe", /*ep_size=*/0);
  ASSERT_OK_AND_ASSIGN(const ForwardResult want,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  cluster_.member(3).LeaveAll();
  ASSERT_OK_AND_ASSIGN(const ForwardResult got,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  EXPECT_EQ(got.y.values(), want.y.values());
  EXPECT_EQ(NumCalls("broken"), 1);
  // Until it is formed anew workers are called one by one.
  ASSERT_OK(gateway().Forward(Request(Mode::kEval), Deadline()));
  EXPECT_EQ(NumCalls("done"), 1);
  gateway().FormGroups();
  AwaitConnected(3, true);
  ASSERT_OK(gateway().Forward(Request(Mode::kEval), Deadline()));
  EXPECT_EQ(NumCalls("done"), 2);
}

TEST_F(WorkerGroupTest, AForwardWithoutTheGroupServesABackwardThroughIt) {
  CreateLayer("moe", /*ep_size=*/0);
  cluster_.member(0).LeaveAll();
  ASSERT_OK_AND_ASSIGN(const ForwardResult alone,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  EXPECT_EQ(NumCalls("broken"), 1);
  gateway().FormGroups();
  AwaitConnected(0, true);
  ASSERT_OK_AND_ASSIGN(const BackwardResult through,
                       gateway().Backward(BackwardOf(alone), Deadline()));
  EXPECT_EQ(NumCalls("done"), 1);
  ASSERT_OK_AND_ASSIGN(const ForwardResult again,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  EXPECT_EQ(again.y.values(), alone.y.values());
  ASSERT_OK_AND_ASSIGN(const BackwardResult want,
                       gateway().Backward(BackwardOf(again), Deadline()));
  EXPECT_EQ(through.grad_x.values(), want.grad_x.values());
}

TEST_F(WorkerGroupTest, AGroupThatBreaksUnderABackwardCostsTheStep) {
  CreateLayer("moe", /*ep_size=*/0);
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  cluster_.member(2).LeaveAll();
  EXPECT_THAT(gateway().Backward(BackwardOf(forward), Deadline()),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("step 0")));
  ASSERT_OK(gateway().Step({.layer = "moe", .discard = true}, Deadline()));
  ASSERT_OK_AND_ASSIGN(const ForwardResult again,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  ASSERT_OK(gateway().Backward(BackwardOf(again), Deadline()));
  EXPECT_OK(
      gateway().Step({.layer = "moe", .learning_rate = 0.1f}, Deadline()));
}

}  // namespace
}  // namespace switchyard::testing
