#include "gateway/dispatch/member_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace switchyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Five tokens of two choices; experts 0 and 1 are rank 0's, 2 rank 1's, and 3
// is somewhere else.
TokenRoutes Routes() {
  return {
      .num_tokens = 5,
      .k = 2,
      .expert_ids = {0, 2, 3, -1, 1, 0, 2, 3, 0, -1},
      .weights = {0.0f, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f, 0.9f}};
}
const GroupDispatch kRank0 = {.token_idx = {0, 2, 4},
                              .route_entries = {0, 4, 5, 8}};
const GroupDispatch kRank1 = {.token_idx = {0, 3}, .route_entries = {1, 6}};

TEST(MemberSharesTest, EachTokenIsInOneShareWithAllItsRoutesInTheGroup) {
  const TokenRoutes routes = Routes();
  const std::vector<RankedDispatch> parts = {{0, &kRank0}, {1, &kRank1}};
  const auto shares = ShareAmongMembers(routes, parts, 2);
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_THAT(shares[0].dispatch.token_idx, ElementsAre(0, 2));
  EXPECT_THAT(shares[0].dispatch.route_tokens, ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(shares[0].dispatch.route_experts, ElementsAre(0, 2, 1, 0));
  EXPECT_THAT(shares[0].dispatch.route_weights,
              ElementsAre(0.0f, 0.1f, 0.4f, 0.5f));
  EXPECT_THAT(shares[0].dispatch.route_entries, ElementsAre(0, 1, 4, 5));
  EXPECT_THAT(shares[0].route_ranks, ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(shares[1].dispatch.token_idx, ElementsAre(3, 4));
  EXPECT_THAT(shares[1].dispatch.route_tokens, ElementsAre(0, 1));
  EXPECT_THAT(shares[1].dispatch.route_experts, ElementsAre(2, 0));
  EXPECT_THAT(shares[1].route_ranks, ElementsAre(1, 0));
}

TEST(MemberSharesTest, MembersBeyondTheTokensGetNone) {
  const TokenRoutes routes = Routes();
  const std::vector<RankedDispatch> parts = {{4, &kRank1}};
  const auto shares = ShareAmongMembers(routes, parts, 5);
  ASSERT_EQ(shares.size(), 5u);
  EXPECT_THAT(shares[0].dispatch.token_idx, ElementsAre(0));
  EXPECT_THAT(shares[0].route_ranks, ElementsAre(4));
  EXPECT_THAT(shares[2].dispatch.token_idx, ElementsAre(3));
  for (const size_t rank : {1u, 3u, 4u}) {
    EXPECT_THAT(shares[rank].dispatch.token_idx, IsEmpty());
  }
}

}  // namespace
}  // namespace switchyard
