#include "expert_worker/dispatch/route_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>

#include "expert_worker/testing/random_tensor.h"

namespace switchyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(RouteOrderTest, SortsByExpertAndKeepsTheOrderOfTheRequest) {
  const std::vector<int32_t> experts = {2, 0, 2, 3, 0};
  const RouteOrder order = SortRoutesByExpert(experts, 4);
  EXPECT_THAT(order.row_routes, ElementsAre(1, 4, 0, 2, 3));
  EXPECT_THAT(order.route_rows, ElementsAre(2, 0, 3, 4, 1));
  ASSERT_EQ(order.segments.size(), 3u);  // Expert 1 has none.
  EXPECT_EQ(order.segments[1].hosted_idx, 2);
  EXPECT_EQ(order.segments[1].first_row, 2);
  EXPECT_EQ(order.segments[1].num_rows, 2);
  EXPECT_EQ(order.segments[2].first_row, 4);
}

TEST(RouteOrderTest, OfNoRoutesIsEmpty) {
  const RouteOrder order = SortRoutesByExpert({}, 3);
  EXPECT_THAT(order.row_routes, IsEmpty());
  EXPECT_THAT(order.segments, IsEmpty());
  EXPECT_THAT(SortRoutesByExpert({}, 0).segments, IsEmpty());
}

TEST(RouteOrderTest, MatchesAStableSort) {
  constexpr int64_t kNumHosted = 17;
  const Tensor random = testing::RandomTensor({1000}, 1);
  std::vector<int32_t> experts;
  for (const float v : random.values()) {
    experts.push_back(
        static_cast<int32_t>((v + 1.0f) * 0.5f * float{kNumHosted}));
  }
  std::vector<int64_t> expected(experts.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = static_cast<int64_t>(i);
  }
  std::stable_sort(expected.begin(), expected.end(), [&](int64_t a, int64_t b) {
    return experts[static_cast<size_t>(a)] < experts[static_cast<size_t>(b)];
  });
  const RouteOrder order = SortRoutesByExpert(experts, kNumHosted);
  EXPECT_EQ(order.row_routes, expected);
  int64_t next_row = 0;
  for (const ExpertSegment& segment : order.segments) {
    EXPECT_EQ(segment.first_row, next_row);
    next_row += segment.num_rows;
    for (int64_t row = segment.first_row; row < next_row; ++row) {
      const int64_t route = order.row_routes[static_cast<size_t>(row)];
      EXPECT_EQ(experts[static_cast<size_t>(route)], segment.hosted_idx);
      EXPECT_EQ(order.route_rows[static_cast<size_t>(route)], row);
    }
  }
  EXPECT_EQ(next_row, 1000);
}

}  // namespace
}  // namespace switchyard
