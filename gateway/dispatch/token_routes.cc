#include "gateway/dispatch/token_routes.h"

namespace switchyard {
namespace {

float ExpertFactor(const BranchWeights& branch, size_t token) {
  return branch.expert_factors.empty() ? 1.0f : branch.expert_factors[token];
}

}  // namespace

int64_t TokenRoutes::size_bytes() const {
  return static_cast<int64_t>(expert_ids.size() * sizeof(int32_t) +
                              weights.size() * sizeof(float));
}

TokenRoutes RoutesOfRouter(const RoutingDecision& decision) {
  return {.num_tokens = decision.num_tokens,
          .k = decision.k,
          .expert_ids = decision.expert_ids,
          .weights = decision.weights};
}

TokenRoutes RoutesWithBranch(const RoutingDecision& decision,
                             const BranchWeights& branch, int32_t branch_id) {
  TokenRoutes routes;
  routes.num_tokens = decision.num_tokens;
  routes.k = decision.k + 1;
  const size_t num_tokens = static_cast<size_t>(decision.num_tokens);
  const size_t k = static_cast<size_t>(decision.k);
  routes.expert_ids.reserve(num_tokens * (k + 1));
  routes.weights.reserve(num_tokens * (k + 1));
  for (size_t token = 0; token < num_tokens; ++token) {
    const float factor = ExpertFactor(branch, token);
    for (size_t entry = token * k; entry < (token + 1) * k; ++entry) {
      routes.expert_ids.push_back(decision.expert_ids[entry]);
      routes.weights.push_back(decision.weights[entry] * factor);
    }
    routes.expert_ids.push_back(branch_id);
    routes.weights.push_back(branch.branch_weights[token]);
  }
  return routes;
}

RouteGradients SplitBranch(const RoutingDecision& decision,
                           const BranchWeights& branch,
                           absl::Span<const float> route_dots) {
  RouteGradients gradients;
  const size_t num_tokens = static_cast<size_t>(decision.num_tokens);
  const size_t k = static_cast<size_t>(decision.k);
  gradients.router.reserve(num_tokens * k);
  for (size_t token = 0; token < num_tokens; ++token) {
    const float factor = ExpertFactor(branch, token);
    float grad_factor = 0;
    for (size_t r = 0; r < k; ++r) {
      const float dot = route_dots[token * (k + 1) + r];
      const size_t entry = token * k + r;
      // Without a route the dot is 0; its weight may be anything.
      if (decision.expert_ids[entry] >= 0) {
        grad_factor += decision.weights[entry] * dot;
      }
      gradients.router.push_back(factor * dot);
    }
    gradients.branch.expert_factors.push_back(grad_factor);
    gradients.branch.branch_weights.push_back(route_dots[token * (k + 1) + k]);
  }
  return gradients;
}

}  // namespace switchyard
