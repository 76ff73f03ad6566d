#include "expert_worker/layer/layer_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

constexpr uint64_t kGeneration = 5;

StepKey Key(uint64_t step, uint64_t generation = kGeneration) {
  return {.layer = "x", .generation = generation, .step = step};
}

class LayerStepsTest : public ::testing::Test {
 protected:
  // Prepares and commits.
  void Finish(uint64_t step) {
    ASSERT_OK(state_.Prepare(Key(step)));
    ASSERT_OK_AND_ASSIGN(const CommitOutcome outcome,
                         state_.AdmitCommit(Key(step)));
    ASSERT_EQ(outcome, CommitOutcome::kApplied);
    state_.FinishCommit();
  }

  LayerSteps state_{"x", kGeneration};
};

TEST_F(LayerStepsTest, GoesFromStepToStep) {
  for (uint64_t step = 0; step < 3; ++step) {
    EXPECT_EQ(state_.committed_steps(), step);
    EXPECT_OK(state_.AdmitForward(kGeneration, step));
    EXPECT_OK(state_.AdmitBackward(kGeneration));
    Finish(step);
  }
}

TEST_F(LayerStepsTest, PrepareMayBeRepeated) {
  EXPECT_OK(state_.Prepare(Key(0)));
  EXPECT_OK(state_.Prepare(Key(0)));
}

TEST_F(LayerStepsTest, RefusesEveryStepButTheOpenOne) {
  Finish(0);
  Finish(1);
  for (const uint64_t step : {0u, 1u, 3u}) {
    const auto refused =
        StatusIs(absl::StatusCode::kFailedPrecondition,
                 absl::StrCat("layer 'x': got step ", step,
                              ", expected 2, the number of steps committed"));
    EXPECT_THAT(state_.Prepare(Key(step)), refused);
    EXPECT_THAT(state_.Abort(Key(step)), refused);
    EXPECT_THAT(state_.AdmitForward(kGeneration, step), refused);
    if (step != 1) {
      EXPECT_THAT(state_.AdmitCommit(Key(step)), refused);
    }
  }
}

TEST_F(LayerStepsTest, ARepeatedCommitOfTheLastStepIsNotAnUpdate) {
  Finish(0);
  Finish(1);
  ASSERT_OK_AND_ASSIGN(const CommitOutcome outcome, state_.AdmitCommit(Key(1)));
  EXPECT_EQ(outcome, CommitOutcome::kRepeated);
  // Not even when the next step is prepared.
  ASSERT_OK(state_.Prepare(Key(2)));
  ASSERT_OK_AND_ASSIGN(const CommitOutcome again, state_.AdmitCommit(Key(1)));
  EXPECT_EQ(again, CommitOutcome::kRepeated);
}

TEST_F(LayerStepsTest, CommitNeedsPrepare) {
  EXPECT_THAT(state_.AdmitCommit(Key(0)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "layer 'x': step 0 is not prepared, expected "
                       "PrepareStep first"));
  ASSERT_OK(state_.Prepare(Key(0)));
  ASSERT_OK(state_.Abort(Key(0)));
  EXPECT_THAT(state_.AdmitCommit(Key(0)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not prepared")));
}

TEST_F(LayerStepsTest, PreparedGradientsAreFinalUntilAbort) {
  ASSERT_OK(state_.Prepare(Key(0)));
  const auto final = StatusIs(absl::StatusCode::kFailedPrecondition,
                              "layer 'x': step 0 is prepared, its gradients "
                              "are final");
  EXPECT_THAT(state_.AdmitForward(kGeneration, 0), final);
  EXPECT_THAT(state_.AdmitBackward(kGeneration), final);
  EXPECT_OK(state_.Abort(Key(0)));
  EXPECT_OK(state_.Abort(Key(0)));
  EXPECT_OK(state_.AdmitForward(kGeneration, 0));
  EXPECT_OK(state_.AdmitBackward(kGeneration));
}

TEST_F(LayerStepsTest, GradientsAreWrittenWhilePreparedOnly) {
  EXPECT_THAT(state_.AdmitGradientWrite(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("between PrepareStep and CommitStep")));
  ASSERT_OK(state_.Prepare(Key(0)));
  EXPECT_OK(state_.AdmitGradientWrite());
  state_.FinishCommit();
  EXPECT_THAT(state_.AdmitGradientWrite(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("step 1 is not prepared")));
}

TEST_F(LayerStepsTest, RefusesGenerationsOlderThanAnySeen) {
  Finish(0);
  ASSERT_OK(state_.AdmitForward(kGeneration + 2, 1));
  const auto refused =
      StatusIs(absl::StatusCode::kAborted,
               "layer 'x': got generation 6, expected at least 7");
  EXPECT_THAT(state_.AdmitForward(6, 1), refused);
  EXPECT_THAT(state_.AdmitBackward(6), refused);
  EXPECT_THAT(state_.Prepare(Key(1, 6)), refused);
  EXPECT_THAT(state_.AdmitCommit(Key(0, 6)), refused);
  EXPECT_THAT(state_.AdmitCommit(Key(1, 6)), refused);
  EXPECT_THAT(state_.Abort(Key(1, 6)), refused);
  EXPECT_OK(state_.Prepare(Key(1, 7)));
}

TEST_F(LayerStepsTest, EveryCallRaisesTheGeneration) {
  ASSERT_OK(state_.AdmitBackward(6));
  EXPECT_FALSE(state_.AdmitBackward(5).ok());
  ASSERT_OK(state_.Prepare(Key(0, 7)));
  EXPECT_FALSE(state_.AdmitBackward(6).ok());
  ASSERT_OK(state_.AdmitCommit(Key(0, 8)));
  EXPECT_FALSE(state_.Prepare(Key(0, 7)).ok());
  ASSERT_OK(state_.Abort(Key(0, 9)));
  EXPECT_FALSE(state_.Abort(Key(0, 8)).ok());
}

}  // namespace
}  // namespace switchyard
