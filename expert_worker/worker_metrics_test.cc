#include "expert_worker/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <string>

#include "common/base/status_testing.h"
#include "expert_worker/worker_testing.h"

namespace switchyard {
namespace {

using ::testing::HasSubstr;
using testing::LoadAll;
using ::testing::Not;
using testing::RandomBackward;
using testing::RandomForward;
using testing::SmallLayer;
using testing::StepOf;
using testing::TestWorker;
using testing::TrainForward;

std::string Page(const prometheus::Registry& registry) {
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

class WorkerMetricsTest : public ::testing::Test, public TestWorker {
 protected:
  const LayerSpec spec_ = SmallLayer();
};

TEST_F(WorkerMetricsTest, CountsTokensStepsAndBytes) {
  const MicrobatchKey key = {.step = 0, .microbatch = 0};
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ExpertForwardRequest forward = RandomForward(spec_, 2, 1);
  forward.route_tokens = {0, 0, 1};
  forward.route_experts = {3, 1, 3};
  forward.route_weights = {1, 1, 1};
  ASSERT_OK(worker.Forward(forward));
  forward.keep = key;
  ASSERT_OK(worker.Forward(forward));
  std::string page = Page(registry);
  EXPECT_THAT(page, HasSubstr("switchyard_worker_expert_tokens_total{"
                              "expert=\"3\",layer=\"x\"} 4"));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_expert_tokens_total{"
                              "expert=\"1\",layer=\"x\"} 2"));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_expert_tokens_total{"
                              "expert=\"0\",layer=\"x\"} 0"));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_kept_activation_bytes 728"));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_parameter_bytes 7920"));

  ASSERT_OK(worker.Backward(RandomBackward(spec_, 2, 1, key)));
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.1f));
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.1f));  // Not counted.
  page = Page(registry);
  EXPECT_THAT(page, HasSubstr("switchyard_worker_kept_activation_bytes 0"));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_steps_total{layer=\"x\"} 1"));
  for (const char* count :
       {"call=\"load_experts\"} 1", "call=\"forward\"} 2",
        "call=\"backward\"} 1", "call=\"prepare_step\"} 1",
        "call=\"commit_step\"} 2", "call=\"abort_step\"} 0",
        "call=\"read_experts\"} 0", "call=\"write_experts\"} 0",
        "call=\"unload_experts\"} 0"}) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat(
                          "switchyard_worker_call_seconds_count{", count)));
  }
}

TEST_F(WorkerMetricsTest, RefusedForwardsCountNoTokens) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ExpertForwardRequest forward = RandomForward(spec_, 2, 1);
  forward.route_weights.pop_back();
  ASSERT_FALSE(worker.Forward(forward).ok());
  EXPECT_THAT(Page(registry), Not(HasSubstr("layer=\"x\"} 1")));
}

TEST_F(WorkerMetricsTest, SeriesOfALayerLeaveWithIt) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.Forward(TrainForward(spec_, 4, 1, {})));
  EXPECT_THAT(Page(registry), HasSubstr("layer=\"x\""));
  ASSERT_OK(worker.UnloadExperts("x"));
  const std::string page = Page(registry);
  EXPECT_THAT(page, Not(HasSubstr("layer=\"x\"")));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_kept_activation_bytes 0"));
  EXPECT_THAT(page, HasSubstr("switchyard_worker_parameter_bytes 0"));
}

TEST(LayerSeriesTest, StayWhileAnotherHoldsThem) {
  prometheus::Registry registry;
  WorkerMetrics first(registry);
  WorkerMetrics second(registry);
  auto one = first.AddLayer("x", {0, 1});
  auto other = second.AddLayer("x", {1, 2});
  const std::vector<int32_t> routes = {1};
  one->CountRoutes(routes);
  one = nullptr;
  other->CountRoutes(routes);
  std::string page = Page(registry);
  EXPECT_THAT(page, HasSubstr("{expert=\"1\",layer=\"x\"} 2"));
  EXPECT_THAT(page, Not(HasSubstr("{expert=\"0\"")));
  other = nullptr;
  EXPECT_THAT(Page(registry), Not(HasSubstr("layer=\"x\"")));
}

}  // namespace
}  // namespace switchyard
