#ifndef SWITCHYARD_GATEWAY_DISPATCH_MEMBER_SHARES_H_
#define SWITCHYARD_GATEWAY_DISPATCH_MEMBER_SHARES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/dispatch/token_routes.h"

namespace switchyard {

// What the worker of rank `rank` in a group gets of a batch.
struct RankedDispatch {
  int32_t rank = 0;
  const GroupDispatch* dispatch = nullptr;
};

// What one member of a group is sent when the group is called as one: a run of
// the group's tokens with all their routes in the group.
struct MemberShare {
  GroupDispatch dispatch;
  // Rank of the member that each route goes to.
  std::vector<int32_t> route_ranks;
};

// The shares of `size` members, by rank: of a group's T tokens, each counted
// once, number t goes to rank t * size / T. So runs of tokens are in the order
// of ranks, and each token is in one share. O(tokens * k).
std::vector<MemberShare> ShareAmongMembers(
    const TokenRoutes& routes, absl::Span<const RankedDispatch> parts,
    int32_t size);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_DISPATCH_MEMBER_SHARES_H_
