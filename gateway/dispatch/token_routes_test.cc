#include "gateway/dispatch/token_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace switchyard {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::Pointwise;

// Two tokens, k = 2; the second choice of token 1 is dropped.
RoutingDecision TwoTokens() {
  RoutingDecision decision;
  decision.num_tokens = 2;
  decision.k = 2;
  decision.expert_ids = {1, 0, 2, -1};
  decision.weights = {0.75f, 0.25f, 0.5f, 0.0f};
  return decision;
}

TEST(TokenRoutesTest, TheRoutersRoutesStayAsTheyAre) {
  const TokenRoutes routes = RoutesOfRouter(TwoTokens());
  EXPECT_EQ(routes.k, 2);
  EXPECT_THAT(routes.expert_ids, ElementsAre(1, 0, 2, -1));
  EXPECT_THAT(routes.weights, ElementsAre(0.75f, 0.25f, 0.5f, 0.0f));
}

TEST(TokenRoutesTest, TheBranchIsEveryTokensLastRoute) {
  const TokenRoutes routes = RoutesWithBranch(
      TwoTokens(), {.branch_weights = {1.0f, 1.0f}}, /*branch_id=*/3);
  EXPECT_EQ(routes.k, 3);
  EXPECT_THAT(routes.expert_ids, ElementsAre(1, 0, 3, 2, -1, 3));
  EXPECT_THAT(routes.weights,
              ElementsAre(0.75f, 0.25f, 1.0f, 0.5f, 0.0f, 1.0f));
}

TEST(TokenRoutesTest, ExpertFactorsMultiplyTheRoutersWeights) {
  const TokenRoutes routes = RoutesWithBranch(
      TwoTokens(),
      {.expert_factors = {0.5f, 0.25f}, .branch_weights = {0.5f, 0.75f}}, 3);
  EXPECT_THAT(routes.weights,
              ElementsAre(0.375f, 0.125f, 0.5f, 0.125f, 0.0f, 0.75f));
}

// y = f (w0 E0 + w1 E1) + b D, so dw_r = f <dy, E_r>, df = sum w_r <dy, E_r>.
TEST(TokenRoutesTest, GradientsAreTakenApartAgain) {
  const BranchWeights branch = {.expert_factors = {0.5f, 0.25f},
                                .branch_weights = {0.5f, 0.75f}};
  const std::vector<float> dots = {2, 4, 8, 16, 32, 64};
  const RouteGradients gradients = SplitBranch(TwoTokens(), branch, dots);
  EXPECT_THAT(gradients.router, Pointwise(FloatEq(), {1.0f, 2.0f, 4.0f, 8.0f}));
  EXPECT_THAT(gradients.branch.expert_factors, ElementsAre(2.5f, 8.0f));
  EXPECT_THAT(gradients.branch.branch_weights, ElementsAre(8.0f, 64.0f));
}

}  // namespace
}  // namespace switchyard
