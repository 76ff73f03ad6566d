#include <vector>

#include "common/base/status_testing.h"
#include "gateway/dispatch/combine.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/placement/spread_policy.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Three tokens, k = 2, four experts; token 1's second choice is dropped.
TokenRoutes ThreeTokens() {
  TokenRoutes routes;
  routes.num_tokens = 3;
  routes.k = 2;
  routes.expert_ids = {0, 3, 2, -1, 1, 0};
  routes.weights = {0.75f, 0.25f, 1.0f, 0.0f, 0.5f, 0.5f};
  return routes;
}

Placement Spread(int32_t num_experts, int32_t ep_size,
                 const std::vector<std::string>& workers) {
  return Placement(*SpreadExperts(num_experts, ep_size, workers));
}

TEST(DispatchPlanTest, SendsEachTokenOnceToEachWorkerThatNeedsIt) {
  const Placement placement = Spread(4, 2, {"a", "b"});
  ASSERT_OK_AND_ASSIGN(const DispatchPlan plan,
                       PlanDispatch(ThreeTokens(), placement));
  ASSERT_EQ(plan.groups.size(), 2u);
  const GroupDispatch& a = plan.groups[0];
  EXPECT_THAT(a.token_idx, ElementsAre(0, 2));
  EXPECT_THAT(a.route_tokens, ElementsAre(0, 1, 1));
  EXPECT_THAT(a.route_experts, ElementsAre(0, 1, 0));
  EXPECT_THAT(a.route_weights, ElementsAre(0.75f, 0.5f, 0.5f));
  EXPECT_THAT(a.route_entries, ElementsAre(0, 4, 5));
  const GroupDispatch& b = plan.groups[1];
  EXPECT_THAT(b.token_idx, ElementsAre(0, 1));
  EXPECT_THAT(b.route_experts, ElementsAre(3, 2));
}

TEST(DispatchPlanTest, ReplicasSplitTheBatchIntoRuns) {
  TokenRoutes routes;
  routes.num_tokens = 5;
  routes.expert_ids = {0, 0, 0, 0, 0};
  routes.weights = {1, 1, 1, 1, 1};
  ASSERT_OK_AND_ASSIGN(const DispatchPlan plan,
                       PlanDispatch(routes, Spread(1, 1, {"a", "b"})));
  ASSERT_EQ(plan.groups.size(), 2u);
  EXPECT_THAT(plan.groups[0].token_idx, ElementsAre(0, 1, 2));
  EXPECT_THAT(plan.groups[1].token_idx, ElementsAre(3, 4));
}

TEST(DispatchPlanTest, NamesAnExpertWithoutAWorker) {
  const PlacementMap map = WithoutWorker(Spread(4, 2, {"a", "b"}).map(), "b");
  EXPECT_THAT(PlanDispatch(ThreeTokens(), Placement(map)),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("expert 3 has no live worker")));
}

// With experts that return their input, both ways of combining give
// sum of weights * x.
TEST(CombineTest, IdentityExpertsGiveTheWeightedSumOfTheInput) {
  const TokenRoutes routes = ThreeTokens();
  const std::vector<float> values = {1, 2, 4, 8, 16, 32};
  const Tensor x = Tensor::FromSpan({3, 2}, values);
  ASSERT_OK_AND_ASSIGN(const DispatchPlan plan,
                       PlanDispatch(routes, Spread(4, 2, {"a", "b"})));
  std::vector<Tensor> partial_rows;
  std::vector<Tensor> route_rows;
  for (const GroupDispatch& group : plan.groups) {
    const Tensor rows = GatherRows(x, group);
    Tensor sums = Tensor::Zeros(rows.shape());
    Tensor unsummed =
        Tensor::Zeros({static_cast<int64_t>(group.route_entries.size()), 2});
    for (size_t r = 0; r < group.route_entries.size(); ++r) {
      for (int64_t j = 0; j < 2; ++j) {
        const float v = rows.row(group.route_tokens[r])[j];
        sums.row(group.route_tokens[r])[j] += group.route_weights[r] * v;
        unsummed.row(static_cast<int64_t>(r))[j] = v;
      }
    }
    partial_rows.push_back(std::move(sums));
    route_rows.push_back(std::move(unsummed));
  }
  EXPECT_THAT(CombinePartialRows(plan, std::move(partial_rows), 3, 2).values(),
              ElementsAre(1, 2, 4, 8, 16, 32));
  EXPECT_THAT(CombineRoutes(plan, routes, route_rows, 2, RouteWeighting::kWeigh)
                  .values(),
              ElementsAre(1, 2, 4, 8, 16, 32));
  EXPECT_THAT(CombineRoutes(plan, routes, route_rows, 2,
                            RouteWeighting::kAlreadyWeighed)
                  .values(),
              ElementsAre(2, 4, 4, 8, 32, 64));
}

TEST(CombineTest, ABatchThatGoesToOneGroupIsNotCopied) {
  const Tensor x = Tensor::FromSpan({1, 3, 2}, std::vector<float>(6, 1));
  ASSERT_OK_AND_ASSIGN(const DispatchPlan plan,
                       PlanDispatch(ThreeTokens(), Spread(4, 1, {"a"})));
  std::vector<Tensor> rows;
  rows.push_back(GatherRows(x, plan.groups[0]));
  EXPECT_EQ(rows[0].data(), x.data());
  EXPECT_THAT(rows[0].shape(), ElementsAre(3, 2));
  EXPECT_EQ(CombinePartialRows(plan, std::move(rows), 3, 2).data(), x.data());
}

TEST(CombineTest, ATokenThatNoGroupGetsIsZero) {
  DispatchPlan plan;
  plan.groups.push_back({.worker_idx = 0, .token_idx = {2}});
  plan.groups.push_back({.worker_idx = 1, .token_idx = {0, 2}});
  std::vector<Tensor> rows;
  rows.push_back(Tensor::FromSpan({1, 2}, std::vector<float>{1, 2}));
  rows.push_back(Tensor::FromSpan({2, 2}, std::vector<float>{4, 8, 16, 32}));
  EXPECT_THAT(CombinePartialRows(plan, std::move(rows), 3, 2).values(),
              ElementsAre(4, 8, 0, 0, 17, 34));
}

}  // namespace
}  // namespace switchyard
