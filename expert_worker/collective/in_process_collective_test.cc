#include "expert_worker/collective/in_process_collective.h"

#include "common/base/status_testing.h"
#include "expert_worker/collective/collective_conformance.h"

namespace switchyard::testing {
namespace {

using ::testing::_;

CollectiveFactory MakeInProcessFactory() {
  return [network = InProcessNetwork::Create()](int rank, int size) {
    return network->MakeMember(rank, size);
  };
}

INSTANTIATE_TEST_SUITE_P(InProcess, CollectiveConformanceTest,
                         ::testing::Values(&MakeInProcessFactory));

TEST(InProcessNetworkTest, RanksThatDoNotExistAreRefused) {
  const auto network = InProcessNetwork::Create();
  EXPECT_THAT(network->MakeMember(2, 2).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(network->MakeMember(-1, 2).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(network->MakeMember(0, 0).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace switchyard::testing
