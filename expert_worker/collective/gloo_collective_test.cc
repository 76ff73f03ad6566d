#include "expert_worker/collective/gloo_collective.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "expert_worker/collective/collective_conformance.h"

namespace switchyard::testing {
namespace {

using ::testing::_;

constexpr char kLoopback[] = "127.0.0.1";

CollectiveFactory MakeGlooFactory() {
  return [](int rank, int size) {
    return MakeGlooCollective(kLoopback, rank, size);
  };
}

INSTANTIATE_TEST_SUITE_P(Gloo, CollectiveConformanceTest,
                         ::testing::Values(&MakeGlooFactory));

TEST(GlooCollectiveTest, RanksThatDoNotExistAreRefused) {
  EXPECT_THAT(MakeGlooCollective(kLoopback, 2, 2).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(GlooCollectiveTest, HostsThatAreNotThisMachinesAreRefused) {
  EXPECT_THAT(MakeGlooCollective("256.1.1.1", 0, 2).status(),
              StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST(GlooCollectiveTest, AddressesThatAreNoneAreRefused) {
  for (const std::string& other :
       {std::string(), std::string("x"), std::string(10000, 'x')}) {
    ASSERT_OK_AND_ASSIGN(const auto member,
                         MakeGlooCollective(kLoopback, 0, 2));
    EXPECT_THAT(member->Connect({member->address(), other},
                                absl::Now() + absl::Seconds(60)),
                StatusIs(absl::StatusCode::kUnavailable, _));
  }
}

TEST(GlooCollectiveTest, PeersThatAreGoneAreNotWaitedForBeyondTheDeadline) {
  for (const int gone : {0, 1}) {
    std::vector<std::unique_ptr<Collective>> members;
    std::vector<std::string> addresses;
    for (const int rank : {0, 1}) {
      ASSERT_OK_AND_ASSIGN(members.emplace_back(),
                           MakeGlooCollective(kLoopback, rank, 2));
      addresses.push_back(members.back()->address());
    }
    members[static_cast<size_t>(gone)].reset();
    EXPECT_THAT(members[static_cast<size_t>(1 - gone)]->Connect(
                    addresses, absl::Now() + absl::Milliseconds(50)),
                StatusIs(absl::StatusCode::kUnavailable, _));
  }
}

}  // namespace
}  // namespace switchyard::testing
