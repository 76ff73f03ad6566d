#ifndef SWITCHYARD_GATEWAY_DISPATCH_TOKEN_ROUTES_H_
#define SWITCHYARD_GATEWAY_DISPATCH_TOKEN_ROUTES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "gateway/branch/branch_mix.h"
#include "gateway/routing/router.h"

namespace switchyard {

// A batch's routes as workers get them: the router's and, after them, that to
// the dense branch. Entry t * k + r is route r of token t.
struct TokenRoutes {
  int64_t num_tokens = 0;
  int32_t k = 1;
  // [tokens * k] -1: no route.
  std::vector<int32_t> expert_ids;
  // [tokens * k].
  std::vector<float> weights;

  int64_t size_bytes() const;
};

// The router's routes alone.
TokenRoutes RoutesOfRouter(const RoutingDecision& decision);

// The router's, their weights multiplied by the token's expert factor, and one
// more to expert `branch_id` for every token.
TokenRoutes RoutesWithBranch(const RoutingDecision& decision,
                             const BranchWeights& branch, int32_t branch_id);

// The inverse for what comes back: d loss / d weight of all routes, taken
// apart.
struct RouteGradients {
  // [tokens * router's k] d loss / d weight of the router's own weights.
  std::vector<float> router;
  // For each token.
  BranchWeightGradients branch;
};
RouteGradients SplitBranch(const RoutingDecision& decision,
                           const BranchWeights& branch,
                           absl::Span<const float> route_dots);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_DISPATCH_TOKEN_ROUTES_H_
