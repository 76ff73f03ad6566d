#include "gateway/placement/placement.h"

#include "common/base/status_testing.h"
#include "gateway/placement/spread_policy.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Ids = std::vector<std::string>;

TEST(SpreadPolicyTest, SpreadsContiguousRunsOverAllWorkersByDefault) {
  ASSERT_OK_AND_ASSIGN(const PlacementMap map, SpreadExperts(4, 0, {"a", "b"}));
  EXPECT_THAT(map.expert_workers,
              ElementsAre(Ids{"a"}, Ids{"a"}, Ids{"b"}, Ids{"b"}));
  EXPECT_EQ(map.version, 1u);
}

TEST(SpreadPolicyTest, ReplicatesWhenThereAreMoreWorkersThanEpSize) {
  ASSERT_OK_AND_ASSIGN(const PlacementMap map,
                       SpreadExperts(4, 2, {"a", "b", "c", "d"}));
  EXPECT_THAT(map.expert_workers, ElementsAre(Ids{"a", "c"}, Ids{"a", "c"},
                                              Ids{"b", "d"}, Ids{"b", "d"}));
}

TEST(SpreadPolicyTest, NeedsNoDivisibility) {
  ASSERT_OK_AND_ASSIGN(const PlacementMap map,
                       SpreadExperts(5, 2, {"a", "b", "c"}));
  EXPECT_THAT(map.expert_workers,
              ElementsAre(Ids{"a", "c"}, Ids{"a", "c"}, Ids{"a", "c"}, Ids{"b"},
                          Ids{"b"}));
}

TEST(SpreadPolicyTest, UsesNoMoreWorkersThanExpertsByDefault) {
  ASSERT_OK_AND_ASSIGN(const PlacementMap map,
                       SpreadExperts(2, 0, {"a", "b", "c"}));
  EXPECT_THAT(map.expert_workers, ElementsAre(Ids{"a"}, Ids{"b"}));
}

TEST(SpreadPolicyTest, RefusesTooFewWorkers) {
  EXPECT_THAT(SpreadExperts(4, 0, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no workers are registered")));
  EXPECT_THAT(SpreadExperts(4, 3, {"a", "b"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("spec.ep_size: got 3, expected at most 2")));
}

TEST(PlacementTest, NumbersWorkersAndFindsWhatALossCosts) {
  ASSERT_OK_AND_ASSIGN(const PlacementMap map,
                       SpreadExperts(3, 2, {"a", "b", "c"}));
  const Placement whole(map);
  EXPECT_THAT(whole.workers(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(whole.replicas(0), ElementsAre(0, 2));
  EXPECT_THAT(whole.ExpertsOf("c"), ElementsAre(0, 1));
  EXPECT_THAT(whole.LostExperts(), IsEmpty());

  const Placement without_a(WithoutWorker(map, "a"));
  EXPECT_EQ(without_a.map().version, 2u);
  EXPECT_THAT(without_a.LostExperts(), IsEmpty());
  const Placement without_b(WithoutWorker(map, "b"));
  EXPECT_THAT(without_b.LostExperts(), ElementsAre(2));
}

}  // namespace
}  // namespace switchyard
