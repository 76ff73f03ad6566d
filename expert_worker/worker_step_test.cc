// Training steps on a worker: what changes when, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "common/base/status_testing.h"
#include "common/optimizer/optimizer.h"
#include "expert_worker/worker_testing.h"

namespace switchyard {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using testing::kGeneration;
using testing::LoadAll;
using testing::RandomBackward;
using testing::ReadAll;
using testing::SmallLayer;
using testing::StatusIs;
using testing::StepOf;
using testing::TestWorker;
using testing::TrainForward;

constexpr int64_t kNumTokens = 9;

class WorkerStepTest : public ::testing::Test, public TestWorker {
 protected:
  void SetUp() override { ASSERT_OK(worker.LoadExperts(LoadAll(spec_))); }

  // One microbatch, forward and backward.
  void RunMicrobatch(uint64_t step, uint32_t microbatch = 0) {
    const MicrobatchKey key = {.step = step, .microbatch = microbatch};
    ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, step, key)));
    ASSERT_OK(worker.Backward(RandomBackward(spec_, kNumTokens, step, key)));
  }
  std::vector<float> Values() {
    return ReadAll(worker, spec_, ParameterKind::kValue);
  }
  std::vector<float> Gradients() {
    return ReadAll(worker, spec_, ParameterKind::kGradient);
  }

  LayerSpec spec_ = SmallLayer(MlpExpertSpec{7, Activation::kGeluTanh});
};

TEST_F(WorkerStepTest, CommitAppliesTheOptimizerStepByStep) {
  LayerSpec spec = spec_;
  spec.name = "adam";
  spec.optimizer = AdamSpec{.weight_decay = 0.1f, .decoupled = true};
  std::swap(spec, spec_);
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));

  std::vector<float> start = Values();
  const auto n = static_cast<int64_t>(start.size());
  Tensor expected = Tensor::FromSpan({n}, start);
  OptimizerState state = MakeOptimizerState(spec_.optimizer, {n});
  for (uint64_t step = 0; step < 4; ++step) {
    RunMicrobatch(step);
    const Tensor gradient = Tensor::FromSpan({n}, Gradients());
    const float learning_rate = 0.1f / static_cast<float>(step + 1);
    ASSERT_OK(worker.PrepareStep(StepOf(spec_, step)));
    ASSERT_OK(worker.CommitStep(StepOf(spec_, step), learning_rate));
    ApplyUpdate(spec_.optimizer, learning_rate, static_cast<int64_t>(step) + 1,
                gradient, expected, state);
    EXPECT_THAT(Values(), ::testing::ElementsAreArray(expected.values()));
    EXPECT_THAT(Gradients(), Each(0.0f));
  }
}

TEST_F(WorkerStepTest, PrepareReturnsTheNormOfEachExpertInOrder) {
  RunMicrobatch(0);
  const std::vector<float> gradients = Gradients();
  const size_t per_expert = gradients.size() / 5;
  for (int repeat = 0; repeat < 2; ++repeat) {
    ASSERT_OK_AND_ASSIGN(const PrepareStepResult result,
                         worker.PrepareStep(StepOf(spec_, 0)));
    ASSERT_EQ(result.experts.size(), 5u);
    for (size_t e = 0; e < 5; ++e) {
      double expected = 0;
      for (size_t i = e * per_expert; i < (e + 1) * per_expert; ++i) {
        expected += double{gradients[i]} * double{gradients[i]};
      }
      EXPECT_EQ(result.experts[e].expert_id, static_cast<int32_t>(e));
      EXPECT_NEAR(result.experts[e].squared_norm, expected, 1e-12 * expected);
    }
  }
}

TEST_F(WorkerStepTest, PrepareShowsGradientsThatAreNotFinite) {
  const MicrobatchKey key = {.step = 0, .microbatch = 0};
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, key)));
  ExpertBackwardRequest backward = RandomBackward(spec_, kNumTokens, 1, key);
  backward.grad_y.data()[0] = std::numeric_limits<float>::infinity();
  ASSERT_OK(worker.Backward(backward));
  ASSERT_OK_AND_ASSIGN(const PrepareStepResult result,
                       worker.PrepareStep(StepOf(spec_, 0)));
  int num_not_finite = 0;
  for (const ExpertGradientSummary& expert : result.experts) {
    num_not_finite += std::isfinite(expert.squared_norm) ? 0 : 1;
  }
  EXPECT_EQ(num_not_finite, 2);  // Token 0 goes to two experts.
}

TEST_F(WorkerStepTest, ARepeatedCommitChangesNothing) {
  RunMicrobatch(0);
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.5f));
  const std::vector<float> values = Values();
  RunMicrobatch(1);
  const std::vector<float> gradients = Gradients();
  EXPECT_OK(worker.CommitStep(StepOf(spec_, 0), 0.5f));
  EXPECT_EQ(Values(), values);
  EXPECT_EQ(Gradients(), gradients);
  EXPECT_EQ(worker.GetStatus().layers[0].step, 1u);
}

TEST_F(WorkerStepTest, CommitWithoutPrepareIsRefused) {
  RunMicrobatch(0);
  const std::vector<float> values = Values();
  EXPECT_THAT(worker.CommitStep(StepOf(spec_, 0), 0.5f),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("step 0 is not prepared")));
  EXPECT_EQ(Values(), values);
}

TEST_F(WorkerStepTest, AbortThrowsGradientsAndKeptActivationsAway) {
  const std::vector<float> values = Values();
  RunMicrobatch(0);
  const MicrobatchKey open = {.step = 0, .microbatch = 8};
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, open)));
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  for (int repeat = 0; repeat < 2; ++repeat) {
    ASSERT_OK(worker.AbortStep(StepOf(spec_, 0)));
    EXPECT_THAT(Gradients(), Each(0.0f));
    EXPECT_EQ(Values(), values);
    EXPECT_EQ(worker.GetStatus().kept_activation_bytes, 0);
    EXPECT_EQ(worker.GetStatus().layers[0].step, 0u);
  }
  EXPECT_THAT(worker.Backward(RandomBackward(spec_, kNumTokens, 1, open)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("nothing is kept")));
  EXPECT_THAT(worker.CommitStep(StepOf(spec_, 0), 0.5f),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not prepared")));
  RunMicrobatch(0);  // The same step once more.
}

TEST_F(WorkerStepTest, AnAbortThatComesAfterTheCommitTakesNothing) {
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.5f));
  RunMicrobatch(1);
  const std::vector<float> gradients = Gradients();
  EXPECT_THAT(worker.AbortStep(StepOf(spec_, 0)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "layer 'x': got step 0, expected 1, the number of steps "
                       "committed"));
  EXPECT_EQ(Gradients(), gradients);
}

TEST_F(WorkerStepTest, CommitDropsWhatWasKeptForTheStep) {
  const MicrobatchKey open = {.step = 0, .microbatch = 8};
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, open)));
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.5f));
  EXPECT_EQ(worker.GetStatus().kept_activation_bytes, 0);
}

TEST_F(WorkerStepTest, PreparedGradientsTakeNoMoreBackwards) {
  const MicrobatchKey key = {.step = 0, .microbatch = 0};
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, key)));
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  const auto final = StatusIs(absl::StatusCode::kFailedPrecondition,
                              HasSubstr("its gradients are final"));
  EXPECT_THAT(worker.Backward(RandomBackward(spec_, kNumTokens, 1, key)),
              final);
  EXPECT_THAT(worker.Forward(TrainForward(spec_, kNumTokens, 1, key)), final);
  EXPECT_THAT(Gradients(), Each(0.0f));
}

TEST_F(WorkerStepTest, ForwardsOfAnotherStepAreRefused) {
  EXPECT_THAT(worker.Forward(TrainForward(spec_, kNumTokens, 1,
                                          {.step = 1, .microbatch = 0})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("got step 1, expected 0")));
}

TEST_F(WorkerStepTest, ReplicasExchangeGradientsBetweenPrepareAndCommit) {
  const WriteExpertsRequest sum = {
      .layer = "x",
      .slices = {{"experts.2.fc1.bias", {7}, 1, {3.0f, 4.0f}}},
      .kind = ParameterKind::kGradient};
  EXPECT_THAT(worker.WriteExperts(sum),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("step 0 is not prepared")));
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  ASSERT_OK(worker.WriteExperts(sum));
  ASSERT_OK_AND_ASSIGN(const PrepareStepResult prepared,
                       worker.PrepareStep(StepOf(spec_, 0)));
  EXPECT_DOUBLE_EQ(prepared.experts[2].squared_norm, 25.0);
  std::vector<float> expected = Values();
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.5f));
  const size_t first = 2 * expected.size() / 5 + 7 * 6 + 1;
  expected[first] -= 1.5f;
  expected[first + 1] -= 2.0f;
  EXPECT_EQ(Values(), expected);
}

TEST_F(WorkerStepTest, OlderGenerationsAreRefusedEverywhereButInEval) {
  RunMicrobatch(0);
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0, kGeneration + 1)));
  const auto refused =
      StatusIs(absl::StatusCode::kAborted,
               "layer 'x': got generation 3, expected at least 4");
  const MicrobatchKey key = {.step = 0, .microbatch = 0};
  EXPECT_THAT(worker.Forward(TrainForward(spec_, kNumTokens, 1, key)), refused);
  EXPECT_THAT(worker.Backward(RandomBackward(spec_, kNumTokens, 1, key)),
              refused);
  EXPECT_THAT(worker.PrepareStep(StepOf(spec_, 0)), refused);
  EXPECT_THAT(worker.CommitStep(StepOf(spec_, 0), 0.5f), refused);
  EXPECT_THAT(worker.AbortStep(StepOf(spec_, 0)), refused);
  EXPECT_OK(worker.Forward(testing::RandomForward(spec_, kNumTokens, 1)));
  EXPECT_OK(worker.CommitStep(StepOf(spec_, 0, kGeneration + 1), 0.5f));
}

TEST_F(WorkerStepTest, AGenerationOlderThanThatOfLoadingIsRefused) {
  EXPECT_THAT(worker.PrepareStep(StepOf(spec_, 0, kGeneration - 1)),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("generation 2")));
}

}  // namespace
}  // namespace switchyard
