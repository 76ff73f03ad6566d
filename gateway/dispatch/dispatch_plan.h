#ifndef SWITCHYARD_GATEWAY_DISPATCH_DISPATCH_PLAN_H_
#define SWITCHYARD_GATEWAY_DISPATCH_DISPATCH_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/tensor/tensor.h"
#include "gateway/dispatch/token_routes.h"
#include "gateway/placement/placement.h"

namespace switchyard {

// What one group (today: one worker) gets of a batch. Routes are ordered by
// token, then by choice; a token appears once, whatever its number of routes.
struct GroupDispatch {
  // Index into Placement::workers().
  int32_t worker_idx = 0;
  // Row of the batch for each row that is sent.
  std::vector<int32_t> token_idx;
  // Per route: row among those sent, expert, combine weight, and the entry
  // (token * k + choice) of the TokenRoutes it came from.
  std::vector<int32_t> route_tokens;
  std::vector<int32_t> route_experts;
  std::vector<float> route_weights;
  std::vector<int64_t> route_entries;
};

// Groups in order of worker id, only those that get a route.
struct DispatchPlan {
  std::vector<GroupDispatch> groups;
};

// Sends each kept route to a replica of its expert. Replicas split the batch
// into contiguous runs of tokens, so that a token's routes go to as few groups
// as possible: of R replicas, token t of S goes to number t * R / S.
//
// O(tokens * k). UNAVAILABLE, naming the expert, if one has no worker.
absl::StatusOr<DispatchPlan> PlanDispatch(const TokenRoutes& routes,
                                          const Placement& placement);

// The rows of `batch` that a group gets: [group tokens, cols]. Shares the
// batch's memory where the group gets all of it; elsewhere `allocate`, given
// their shape, makes the memory that they are copied to.
Tensor GatherRows(
    const Tensor& batch, const GroupDispatch& group,
    absl::FunctionRef<Tensor(const Shape&)> allocate = Tensor::Uninitialized);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_DISPATCH_DISPATCH_PLAN_H_
