// A worker process that is killed (SIGKILL), seen by a client: a clear error in
// good time, never a hang, and a service that can be used again.
#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "tests/integration/program.h"
#include "tests/testing/parameters_testing.h"
#include "tests/testing/remote_layer_api.h"

namespace switchyard::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LayerSpec Spec(int32_t ep_size) {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = 4;
  spec.num_experts = 4;
  spec.expert = LinearExpertSpec{};
  spec.capacity.drop_tokens = false;
  spec.ep_size = ep_size;
  return spec;
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

// A gateway in this process, workers w0, w1, ... in their own.
class WorkerCrashTest : public ProgramTest {
 protected:
  void StartWorkers(int num_workers,
                    const std::vector<std::string>& more_flags = {}) {
    for (int i = 0; i < num_workers; ++i) {
      std::string line;
      std::vector<std::string> argv = {WorkerBinary(), "--gateway",
                                       cluster_.gateway().address(),
                                       "--worker-id", absl::StrCat("w", i)};
      argv.insert(argv.end(), more_flags.begin(), more_flags.end());
      auto worker = StartReady(argv, line);
      ASSERT_OK(worker);
      workers_.push_back(*std::move(worker));
    }
    ASSERT_TRUE(Eventually([&] { return NumUp() == num_workers; }));
  }
  int NumUp() {
    const auto list = client().ListWorkers();
    if (!list.ok()) return -1;
    int num_up = 0;
    for (const WorkerStatus& worker : list->workers) {
      num_up += worker.state == WorkerState::kUp;
    }
    return num_up;
  }
  int NumConnected() {
    const auto list = client().ListWorkers();
    if (!list.ok()) return -1;
    int num_connected = 0;
    for (const WorkerStatus& worker : list->workers) {
      num_connected += worker.group_connected;
    }
    return num_connected;
  }
  void Kill(int idx) {
    ChildProcess& worker = workers_[static_cast<size_t>(idx)];
    worker.Signal(SIGKILL);
    EXPECT_EQ(WaitForCode(worker), 128 + SIGKILL);
  }
  GatewayClient& client() { return cluster_.client(); }

  LoopbackCluster cluster_{0};
  std::vector<ChildProcess> workers_;
};

TEST_F(WorkerCrashTest, ALayerWithoutReplicasBecomesUnavailableAndSaysWhy) {
  StartWorkers(2);
  ASSERT_OK(client().CreateLayer(Spec(0)));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       client().Forward(Request(Mode::kTrain)));
  Kill(1);
  const auto unavailable =
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("worker 'w1'"));
  EXPECT_THAT(client().Backward(BackwardOf(forward)), unavailable);
  EXPECT_THAT(client().Forward(Request(Mode::kEval)), unavailable);
  EXPECT_THAT(client().Step({.layer = "moe", .step = 0}), unavailable);
  ASSERT_OK_AND_ASSIGN(const LayerStatus status, client().GetLayer("moe"));
  EXPECT_EQ(status.state, LayerState::kLostExperts);
  ASSERT_OK_AND_ASSIGN(const WorkerList list, client().ListWorkers());
  ASSERT_EQ(list.workers.size(), 2u);
  EXPECT_EQ(list.workers[0].state, WorkerState::kUp);
  EXPECT_EQ(list.workers[1].state, WorkerState::kLost);

  ASSERT_OK(client().DeleteLayer("moe"));
  ASSERT_OK(client().CreateLayer(Spec(0)));
  EXPECT_OK(client().Forward(Request(Mode::kEval)));
}

TEST_F(WorkerCrashTest, InferenceIsPlannedAnewInsideTheRequest) {
  StartWorkers(4);
  ASSERT_OK(client().CreateLayer(Spec(2)));
  ASSERT_OK_AND_ASSIGN(const ForwardResult before,
                       client().Forward(Request(Mode::kEval)));
  Kill(0);
  ASSERT_OK_AND_ASSIGN(const ForwardResult after,
                       client().Forward(Request(Mode::kEval)));
  for (int64_t i = 0; i < before.y.num_elements(); ++i) {
    EXPECT_NEAR(after.y.data()[i], before.y.data()[i], 1e-6);
  }
}

TEST_F(WorkerCrashTest, TrainingWithReplicasResumesFromTheOpenStep) {
  StartWorkers(4);
  ASSERT_OK(client().CreateLayer(Spec(2)));
  TrainStepRequest request;
  request.layer = "moe";
  request.learning_rate = 0.01f;
  request.x = RandomTensor({32, 4}, 1);
  request.head = MeanSquaredErrorHead{RandomTensor({32, 4}, 2)};
  ASSERT_OK(client().TrainStep(request));
  Kill(3);
  // The loss is noticed here; what was begun is discarded.
  EXPECT_THAT(client().TrainStep(request),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("worker 'w3'")));
  ASSERT_OK_AND_ASSIGN(const TrainStepResult resumed,
                       client().TrainStep(request));
  EXPECT_EQ(resumed.step, 2u);
}

TEST_F(WorkerCrashTest, AGroupLosesAMemberAndItsClientsNoAnswer) {
  StartWorkers(4, {"--group", "g"});
  ASSERT_TRUE(Eventually([&] { return NumConnected() == 4; }));
  ASSERT_OK(client().CreateLayer(Spec(/*ep_size=*/2)));
  ASSERT_OK_AND_ASSIGN(const ForwardResult want,
                       client().Forward(Request(Mode::kEval)));
  std::atomic<bool> stop = false;
  std::atomic<int> num_answered = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&] {
      while (!stop) {
        const auto got = client().Forward(Request(Mode::kEval));
        ASSERT_OK(got);
        ++num_answered;
        for (int64_t i = 0; i < want.y.num_elements(); ++i) {
          ASSERT_NEAR(got->y.data()[i], want.y.data()[i], 1e-6);
        }
      }
    });
  }
  EXPECT_TRUE(Eventually([&] { return num_answered > 50; }));
  Kill(1);
  EXPECT_TRUE(Eventually([&] { return NumUp() == 3; }));
  EXPECT_TRUE(Eventually([&] { return NumConnected() == 3; }));
  const int num_answered_then = num_answered;
  EXPECT_TRUE(
      Eventually([&] { return num_answered > num_answered_then + 50; }));
  stop = true;
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace switchyard::testing
