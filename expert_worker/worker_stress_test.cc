// Everything at once, for ThreadSanitizer and for deadlocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "common/base/status_testing.h"
#include "expert_worker/worker_testing.h"

namespace switchyard {
namespace {

using testing::LoadAll;
using testing::RandomBackward;
using testing::RandomForward;
using testing::ReadAll;
using testing::SmallLayer;
using testing::StepOf;
using testing::TestWorker;
using testing::TrainForward;

constexpr int64_t kNumTokens = 20;

void RunAtOnce(std::vector<std::function<void()>> bodies) {
  std::vector<std::thread> threads;
  for (auto& body : bodies) threads.emplace_back(std::move(body));
  for (std::thread& thread : threads) thread.join();
}

TEST(WorkerStressTest, MicrobatchesOfOneStepMayRunAtOnce) {
  const LayerSpec spec = SmallLayer(MlpExpertSpec{9, Activation::kGelu});
  const auto train = [&](Worker& worker, uint32_t microbatch) {
    const MicrobatchKey key = {.step = 0, .microbatch = microbatch};
    EXPECT_OK(worker.Forward(TrainForward(spec, kNumTokens, microbatch, key)));
    EXPECT_OK(
        worker.Backward(RandomBackward(spec, kNumTokens, microbatch, key)));
  };
  constexpr uint32_t kPerThread = 5;
  TestWorker serial;
  TestWorker concurrent({.num_compute_threads = 2});
  ASSERT_OK(serial.worker.LoadExperts(LoadAll(spec)));
  ASSERT_OK(concurrent.worker.LoadExperts(LoadAll(spec)));
  for (uint32_t m = 0; m < 3 * kPerThread; ++m) train(serial.worker, m);
  std::vector<std::function<void()>> bodies;
  for (uint32_t t = 0; t < 3; ++t) {
    bodies.push_back([&, t] {
      for (uint32_t i = 0; i < kPerThread; ++i) {
        train(concurrent.worker, t * kPerThread + i);
      }
    });
  }
  RunAtOnce(bodies);
  const auto expected = ReadAll(serial.worker, spec, ParameterKind::kGradient);
  const auto got = ReadAll(concurrent.worker, spec, ParameterKind::kGradient);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    // The order of the microbatches' sums is free.
    ASSERT_NEAR(got[i], expected[i], 1e-4);
  }
  EXPECT_EQ(concurrent.worker.GetStatus().kept_activation_bytes, 0);
}

TEST(WorkerStressTest, LayersMayComeAndGoUnderCalls) {
  const LayerSpec spec = SmallLayer(MlpExpertSpec{9, Activation::kRelu});
  TestWorker test({.num_compute_threads = 2});
  Worker& worker = test.worker;
  std::atomic<bool> done{false};
  // Each call succeeds, or finds the layer gone, new or elsewhere in a step.
  const auto ok_or_overtaken = [](const absl::Status& status) {
    EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status) ||
                absl::IsAborted(status))
        << status;
  };
  const auto train = [&](uint32_t first) {
    for (uint32_t m = first; !done; m += 2) {
      const MicrobatchKey key = {.step = 0, .microbatch = m};
      ok_or_overtaken(
          worker.Forward(TrainForward(spec, kNumTokens, m, key)).status());
      ok_or_overtaken(
          worker.Backward(RandomBackward(spec, kNumTokens, m, key)).status());
    }
  };
  const auto step = [&] {
    while (!done) {
      ok_or_overtaken(worker.PrepareStep(StepOf(spec, 0)).status());
      ok_or_overtaken(worker.CommitStep(StepOf(spec, 0), 0.1f));
      ok_or_overtaken(worker.AbortStep(StepOf(spec, 0)));
      test.clock.Advance(absl::Minutes(1));
    }
  };
  const auto read = [&] {
    while (!done) {
      ok_or_overtaken(
          worker.Forward(RandomForward(spec, kNumTokens, 1)).status());
      ReadAll(worker, spec, ParameterKind::kValue);
      worker.GetStatus();
      test.registry.Collect();
    }
  };
  const auto load_and_unload = [&] {
    for (int round = 0; round < 60; ++round) {
      EXPECT_OK(worker.LoadExperts(LoadAll(spec)));
      EXPECT_OK(worker.Forward(RandomForward(spec, kNumTokens, 1)));
      if (round % 2 == 0) {
        EXPECT_OK(worker.UnloadExperts("x"));
      } else {
        worker.UnloadAll();
      }
    }
    done = true;
  };
  RunAtOnce(
      {[&] { train(0); }, [&] { train(1); }, step, read, load_and_unload});
  const WorkerReport report = worker.GetStatus();
  EXPECT_EQ(report.kept_activation_bytes, 0);
  EXPECT_TRUE(report.layers.empty());
  // All memory is free again.
  EXPECT_OK(worker.LoadExperts(LoadAll(spec)));
}

}  // namespace
}  // namespace switchyard
