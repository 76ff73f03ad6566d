#include "gateway/training/step_state.h"

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::StatusCode kAborted = absl::StatusCode::kAborted;
constexpr absl::StatusCode kFailedPrecondition =
    absl::StatusCode::kFailedPrecondition;

TEST(StepStateTest, CommitsOnceEverythingWasSentBackward) {
  StepState state;
  EXPECT_OK(state.OnForward());
  EXPECT_THAT(state.CheckStep(0, {3, 5}),
              StatusIs(kFailedPrecondition,
                       HasSubstr("microbatch 3 is open (2 in all)")));
  state.OnBackward();
  ASSERT_OK_AND_ASSIGN(const StepState::Action action, state.CheckStep(0, {}));
  EXPECT_EQ(action, StepState::Action::kCommit);
  state.Commit({.step = 1, .grad_norm = 2.5});
  EXPECT_EQ(state.step(), 1u);
  EXPECT_TRUE(state.clean());
}

TEST(StepStateTest, RepeatsTheAnswerOfTheNewestStepAndNoOther) {
  StepState state;
  for (uint64_t step = 0; step < 2; ++step) {
    EXPECT_OK(state.OnForward());
    state.OnBackward();
    ASSERT_OK(state.CheckStep(step, {}));
    state.Commit({.step = step + 1});
  }
  ASSERT_OK_AND_ASSIGN(const StepState::Action action, state.CheckStep(1, {}));
  EXPECT_EQ(action, StepState::Action::kRepeatAnswer);
  for (const uint64_t step : {uint64_t{0}, uint64_t{3}, ~uint64_t{0}}) {
    EXPECT_THAT(state.CheckStep(step, {}),
                StatusIs(kFailedPrecondition, HasSubstr("expected 2")));
  }
}

TEST(StepStateTest, RefusesAnEmptyStep) {
  StepState state;
  EXPECT_THAT(state.CheckStep(0, {}),
              StatusIs(kFailedPrecondition,
                       HasSubstr("no microbatch was sent backward")));
}

TEST(StepStateTest, ABrokenStepTakesNothingUntilItIsDiscarded) {
  StepState state;
  EXPECT_OK(state.OnForward());
  state.OnBackward();
  state.Break("worker w1 was lost");
  state.Break("a later reason");
  for (const absl::Status& status :
       {state.OnForward(), state.CheckMicrobatchStep(0),
        state.CheckStep(0, {}).status()}) {
    EXPECT_THAT(status, StatusIs(kAborted, HasSubstr("worker w1 was lost")));
  }
  state.Discard();
  EXPECT_EQ(state.step(), 0u);
  EXPECT_OK(state.OnForward());
}

TEST(StepStateTest, NothingBreaksAStepInWhichNothingHappened) {
  StepState state;
  state.Break("worker w1 was lost");
  EXPECT_OK(state.OnForward());
}

}  // namespace
}  // namespace switchyard
