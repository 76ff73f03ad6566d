// What a layer does when one of its workers goes.
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "embedded/embedded_cluster.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::HasSubstr;

absl::Time Deadline() { return absl::Now() + absl::Seconds(60); }

class WorkerLossTest : public ::testing::Test {
 protected:
  WorkerLossTest() : cluster_({.num_workers = 4}) {}

  void CreateLayer(int32_t ep_size) {
    LayerSpec spec;
    spec.name = "moe";
    spec.hidden_size = 4;
    spec.num_experts = 4;
    spec.expert = LinearExpertSpec{};
    spec.capacity.drop_tokens = false;
    spec.ep_size = ep_size;
    ASSERT_OK(gateway().CreateLayer(spec, Deadline()));
  }
  ForwardRequest Request(Mode mode) {
    ForwardRequest request;
    request.layer = "moe";
    request.mode = mode;
    request.x = RandomTensor({32, 4}, 1);
    return request;
  }
  BackwardRequest BackwardOf(const ForwardResult& forward) {
    BackwardRequest request;
    request.layer = "moe";
    request.step = forward.step;
    request.microbatch = forward.microbatch;
    request.grad_y = RandomTensor({32, 4}, 2);
    return request;
  }
  absl::StatusOr<StepResult> Step(bool discard) {
    return gateway().Step(
        {.layer = "moe", .step = 0, .learning_rate = 0.1f, .discard = discard},
        Deadline());
  }
  Gateway& gateway() { return cluster_.gateway(); }

  EmbeddedCluster cluster_;
};

TEST_F(WorkerLossTest, InferenceGoesOnWhileEveryExpertHasAReplica) {
  CreateLayer(/*ep_size=*/2);
  ASSERT_OK_AND_ASSIGN(const ForwardResult before,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  ASSERT_OK(gateway().DeregisterWorker("w1", 1));
  ASSERT_OK_AND_ASSIGN(const ForwardResult after,
                       gateway().Forward(Request(Mode::kEval), Deadline()));
  for (int64_t i = 0; i < before.y.num_elements(); ++i) {
    EXPECT_NEAR(after.y.data()[i], before.y.data()[i], 1e-6);
  }
  ASSERT_OK_AND_ASSIGN(const PlacementMap placement,
                       gateway().GetPlacement("moe"));
  EXPECT_EQ(placement.version, 2u);
}

TEST_F(WorkerLossTest, ALostExpertMakesTheLayerUnavailableAndSaysWhy) {
  CreateLayer(/*ep_size=*/0);
  ASSERT_OK(gateway().DeregisterWorker("w2", 1));
  EXPECT_THAT(gateway().Forward(Request(Mode::kEval), Deadline()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("worker 'w2' was lost (it deregistered) with "
                                 "the only replica of expert 2")));
  ASSERT_OK_AND_ASSIGN(const LayerStatus status, gateway().GetLayer("moe"));
  EXPECT_EQ(status.state, LayerState::kLostExperts);
  ASSERT_OK(gateway().DeleteLayer("moe", Deadline()));
  CreateLayer(/*ep_size=*/0);
  EXPECT_OK(gateway().Forward(Request(Mode::kEval), Deadline()));
}

TEST_F(WorkerLossTest, AStepUnderWayMustBeDiscardedAndRepeated) {
  CreateLayer(/*ep_size=*/2);
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  ASSERT_OK(gateway().DeregisterWorker("w3", 1));
  const auto aborted =
      StatusIs(absl::StatusCode::kAborted, HasSubstr("repeat step 0"));
  EXPECT_THAT(gateway().Backward(BackwardOf(forward), Deadline()), aborted);
  EXPECT_THAT(gateway().Forward(Request(Mode::kTrain), Deadline()), aborted);
  EXPECT_THAT(Step(/*discard=*/false), aborted);
  ASSERT_OK(Step(/*discard=*/true));
  ASSERT_OK_AND_ASSIGN(const ForwardResult again,
                       gateway().Forward(Request(Mode::kTrain), Deadline()));
  ASSERT_OK(gateway().Backward(BackwardOf(again), Deadline()));
  EXPECT_OK(Step(/*discard=*/false));
}

TEST_F(WorkerLossTest, AWorkerThatForgotItsExpertsIsNoSilentWrongAnswer) {
  CreateLayer(/*ep_size=*/0);
  cluster_.worker(0).UnloadAll();
  EXPECT_THAT(gateway().Forward(Request(Mode::kEval), Deadline()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("worker w0: ")));
}

TEST_F(WorkerLossTest, ReplicasStayIdenticalOverSteps) {
  CreateLayer(/*ep_size=*/2);
  for (uint64_t step = 0; step < 3; ++step) {
    ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                         gateway().Forward(Request(Mode::kTrain), Deadline()));
    ASSERT_OK(gateway().Backward(BackwardOf(forward), Deadline()));
    ASSERT_OK(gateway().Step(
        {.layer = "moe", .step = step, .learning_rate = 0.1f}, Deadline()));
  }
  const ReadExpertsRequest request = {.layer = "moe",
                                      .ranges = {{"experts.0.weight", 0, 16}}};
  ASSERT_OK_AND_ASSIGN(const auto first,
                       cluster_.worker(0).ReadExperts(request));
  ASSERT_OK_AND_ASSIGN(const auto second,
                       cluster_.worker(2).ReadExperts(request));
  EXPECT_EQ(first[0].values, second[0].values);
}

}  // namespace
}  // namespace switchyard::testing
