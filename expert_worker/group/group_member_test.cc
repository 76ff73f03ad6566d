#include "expert_worker/group/group_member.h"

#include <prometheus/registry.h>

#include <stop_token>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "expert_worker/collective/in_process_collective.h"
#include "expert_worker/worker_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::_;
using ::testing::HasSubstr;
using enum absl::StatusCode;

constexpr uint64_t kGroup = 77;

absl::Time Late() { return absl::Now() + absl::Seconds(60); }

// Two workers, each with all experts of the layer "x".
class GroupMemberTest : public ::testing::Test {
 protected:
  GroupMemberTest() {
    for (int i = 0; i < 2; ++i) {
      workers_.push_back(std::make_unique<Worker>(
          WorkerOptions{.worker_id = i == 0 ? "a" : "b"}, Clock::Real(),
          registries_[i]));
      EXPECT_OK(workers_.back()->LoadExperts(LoadAll(SmallLayer())));
      members_.push_back(std::make_unique<GroupMember>(
          *workers_.back(), [network = network_](int rank, int size) {
            return network->MakeMember(rank, size);
          }));
    }
  }

  void OnBoth(const std::function<void(int rank)>& body) {
    std::thread other([&body] { body(1); });
    body(0);
    other.join();
  }
  void Join(uint64_t group_id) {
    ConnectGroupRequest connect = {.group_id = group_id};
    for (int rank = 0; rank < 2; ++rank) {
      ASSERT_OK_AND_ASSIGN(
          const JoinGroupResult joined,
          member(rank).Join({.group_id = group_id, .rank = rank, .size = 2}));
      EXPECT_EQ(joined.max_calls, GroupMember::kMaxCalls);
      connect.addresses.push_back(joined.address);
    }
    OnBoth([&](int rank) { EXPECT_OK(member(rank).Connect(connect, Late())); });
  }
  // A share of one token, which both ranks work on.
  static ExpertForwardRequest Share(uint64_t sequence) {
    return {
        .layer = "x",
        .generation = kGeneration,
        .route_tokens = {0, 0},
        .route_experts = {1, 3},
        .route_weights = {0.5f, 0.25f},
        .x = RandomTensor({1, 6}, 4),
        .group = GroupCall{
            .group_id = kGroup, .sequence = sequence, .route_ranks = {0, 1}}};
  }
  GroupMember& member(int rank) { return *members_[static_cast<size_t>(rank)]; }

  const std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create();
  prometheus::Registry registries_[2];
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<GroupMember>> members_;
};

TEST_F(GroupMemberTest, SumsWhatTheOwnersOfATokensExpertsAnswer) {
  Join(kGroup);
  ExpertForwardRequest parts[2];
  for (size_t p = 0; p < 2; ++p) {
    parts[p] = Share(0);
    parts[p].group.reset();
    parts[p].route_tokens = {0};
    parts[p].route_experts = {Share(0).route_experts[p]};
    parts[p].route_weights = {Share(0).route_weights[p]};
  }
  ASSERT_OK_AND_ASSIGN(const auto first, workers_[0]->Forward(parts[0]));
  ASSERT_OK_AND_ASSIGN(const auto second, workers_[1]->Forward(parts[1]));
  for (uint64_t sequence = 0; sequence < 3; ++sequence) {
    OnBoth([&](int rank) {
      ASSERT_OK_AND_ASSIGN(const ExpertForwardResult got,
                           member(rank).Forward(Share(sequence), Late()));
      ASSERT_EQ(got.y.shape(), (Shape{1, 6}));
      for (int64_t j = 0; j < 6; ++j) {
        EXPECT_EQ(got.y.data()[j], first.y.data()[j] + second.y.data()[j]);
      }
    });
  }
}

TEST_F(GroupMemberTest, CallsThatComeEarlyWaitForTheirTurn) {
  Join(kGroup);
  OnBoth([&](int rank) {
    std::thread early(
        [&] { EXPECT_OK(member(rank).Forward(Share(1), Late())); });
    EXPECT_OK(member(rank).Forward(Share(0), Late()));
    early.join();
  });
}

TEST_F(GroupMemberTest, AllMembersAnswerWhatOneFailsWith) {
  Join(kGroup);
  OnBoth([&](int rank) {
    ExpertForwardRequest share = Share(0);
    if (rank == 1) share.route_tokens = {0, 1};
    EXPECT_THAT(member(rank).Forward(share, Late()),
                StatusIs(kInvalidArgument, HasSubstr("route_tokens[1]")));
  });
  ASSERT_OK(workers_[0]->UnloadExperts("x"));
  OnBoth([&](int rank) {
    EXPECT_THAT(member(rank).Forward(Share(1), Late()),
                StatusIs(kFailedPrecondition, HasSubstr("x")));
  });
}

TEST_F(GroupMemberTest, ACancelledOrLateCallEndsOnAllMembersAndTheNextRuns) {
  Join(kGroup);
  ASSERT_OK(member(1).Cancel(kGroup, 0));
  OnBoth([&](int rank) {
    EXPECT_THAT(member(rank).Forward(Share(0), Late()),
                StatusIs(kCancelled, _));
  });
  OnBoth([&](int rank) {
    ExpertForwardRequest share = Share(1);
    if (rank == 0) share.group->deadline = absl::Now() - absl::Seconds(1);
    EXPECT_THAT(member(rank).Forward(share, Late()),
                StatusIs(kDeadlineExceeded, _));
  });
  OnBoth([&](int rank) { EXPECT_OK(member(rank).Forward(Share(2), Late())); });
}

TEST_F(GroupMemberTest, AMemberThatDoesNotComeBreaksTheGroupInTime) {
  Join(kGroup);
  EXPECT_THAT(member(0).Forward(Share(0), absl::Now() + absl::Milliseconds(50)),
              StatusIs(kUnavailable, _));
  EXPECT_THAT(member(1).Forward(Share(0), Late()), StatusIs(kUnavailable, _));
  EXPECT_THAT(member(0).Forward(Share(1), Late()), StatusIs(kUnavailable, _));
}

TEST_F(GroupMemberTest, ACallWhoseTurnNeverComesBreaksTheGroupInTime) {
  Join(kGroup);
  EXPECT_THAT(member(0).Forward(Share(1), absl::Now() + absl::Milliseconds(50)),
              StatusIs(kUnavailable, HasSubstr("no turn")));
  EXPECT_THAT(member(1).Forward(Share(0), Late()), StatusIs(kUnavailable, _));
}

TEST_F(GroupMemberTest, LeavingEndsTheCallsOfAll) {
  Join(kGroup);
  OnBoth([&](int rank) {
    if (rank == 1) {
      EXPECT_OK(member(1).Leave(kGroup));
    } else {
      EXPECT_THAT(member(0).Forward(Share(0), Late()),
                  StatusIs(kUnavailable, _));
    }
  });
  EXPECT_THAT(member(1).Forward(Share(0), Late()),
              StatusIs(kUnavailable, HasSubstr("not in group 77")));
  EXPECT_OK(member(1).Leave(kGroup));
}

TEST_F(GroupMemberTest, AMemberIsOfAFewGroupsAndTheOldestGoes) {
  const auto last = kGroup + uint64_t{GroupMember::kMaxMemberships};
  for (uint64_t group = kGroup; group <= last; ++group) Join(group);
  EXPECT_THAT(member(0).Forward(Share(0), Late()), StatusIs(kUnavailable, _));
  OnBoth([&](int rank) {
    ExpertForwardRequest share = Share(0);
    share.group->group_id = last;
    EXPECT_OK(member(rank).Forward(share, Late()));
  });
}

TEST_F(GroupMemberTest, AGroupIsJoinedOnce) {
  Join(kGroup);
  EXPECT_THAT(member(0).Join({.group_id = kGroup, .rank = 0, .size = 2}),
              StatusIs(kAlreadyExists, _));
  EXPECT_THAT(member(0).Join({.group_id = 1, .rank = 2, .size = 2}),
              StatusIs(kInvalidArgument, HasSubstr("rank: got 2")));
  EXPECT_THAT(member(0).Connect({.group_id = 2}, Late()),
              StatusIs(kUnavailable, _));
}

}  // namespace
}  // namespace switchyard::testing
