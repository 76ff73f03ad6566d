#include "expert_worker/group/member_parts.h"

#include "common/base/status_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(MemberPartsTest, EachRankGetsATokenOnceWithItsRoutes) {
  const std::vector<int32_t> tokens = {0, 0, 0, 1, 3};
  const std::vector<int32_t> ranks = {2, 0, 2, 0, 2};
  ASSERT_OK_AND_ASSIGN(const auto parts, SplitByRank(tokens, ranks, 4, 3));
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_THAT(parts[0].tokens, ElementsAre(0, 1));
  EXPECT_THAT(parts[0].routes, ElementsAre(1, 3));
  EXPECT_THAT(parts[0].route_tokens, ElementsAre(0, 1));
  EXPECT_THAT(parts[1].tokens, IsEmpty());
  EXPECT_THAT(parts[2].tokens, ElementsAre(0, 3));
  EXPECT_THAT(parts[2].routes, ElementsAre(0, 2, 4));
  EXPECT_THAT(parts[2].route_tokens, ElementsAre(0, 0, 1));
}

TEST(MemberPartsTest, RoutesThatDoNotFitAreRefused) {
  const auto refused = [](std::vector<int32_t> tokens,
                          std::vector<int32_t> ranks) {
    return SplitByRank(tokens, ranks, /*num_tokens=*/4, /*size=*/3).status();
  };
  using enum absl::StatusCode;
  EXPECT_THAT(refused({0, 1}, {0}),
              StatusIs(kInvalidArgument, HasSubstr("route_ranks: got 1")));
  EXPECT_THAT(refused({0, 4}, {0, 0}),
              StatusIs(kInvalidArgument, HasSubstr("route_tokens[1]: got 4")));
  EXPECT_THAT(refused({-1}, {0}),
              StatusIs(kInvalidArgument, HasSubstr("route_tokens[0]: got -1")));
  EXPECT_THAT(refused({2, 1}, {0, 0}),
              StatusIs(kInvalidArgument, HasSubstr("route_tokens[1]: got 1")));
  EXPECT_THAT(refused({0}, {3}),
              StatusIs(kInvalidArgument, HasSubstr("route_ranks[0]: got 3")));
  EXPECT_THAT(refused({0}, {-1}),
              StatusIs(kInvalidArgument, HasSubstr("route_ranks[0]: got -1")));
}

}  // namespace
}  // namespace switchyard::testing
