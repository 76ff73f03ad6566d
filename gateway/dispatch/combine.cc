#include "gateway/dispatch/combine.h"

namespace switchyard {

Tensor CombinePartialRows(const DispatchPlan& plan,
                          const std::vector<Tensor>& answers,
                          int64_t num_tokens, int64_t cols) {
  Tensor sum = Tensor::Zeros({num_tokens, cols});
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    const GroupDispatch& group = plan.groups[g];
    for (size_t i = 0; i < group.token_idx.size(); ++i) {
      const float* from = answers[g].row(static_cast<int64_t>(i));
      float* to = sum.row(group.token_idx[i]);
      for (int64_t j = 0; j < cols; ++j) to[j] += from[j];
    }
  }
  return sum;
}

Tensor CombineRoutes(const DispatchPlan& plan, const TokenRoutes& routes,
                     const std::vector<Tensor>& answers, int64_t cols,
                     RouteWeighting weighting) {
  // Where each entry's row is, so that a token's routes are summed by choice
  // and not by worker.
  std::vector<const float*> rows(routes.expert_ids.size(), nullptr);
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    const std::vector<int64_t>& entries = plan.groups[g].route_entries;
    for (size_t i = 0; i < entries.size(); ++i) {
      rows[static_cast<size_t>(entries[i])] =
          answers[g].row(static_cast<int64_t>(i));
    }
  }
  Tensor sum = Tensor::Zeros({routes.num_tokens, cols});
  for (int64_t token = 0; token < routes.num_tokens; ++token) {
    float* to = sum.row(token);
    for (int32_t choice = 0; choice < routes.k; ++choice) {
      const size_t entry = static_cast<size_t>(token * routes.k + choice);
      if (rows[entry] == nullptr) continue;
      const float weight =
          weighting == RouteWeighting::kWeigh ? routes.weights[entry] : 1.0f;
      for (int64_t j = 0; j < cols; ++j) to[j] += weight * rows[entry][j];
    }
  }
  return sum;
}

}  // namespace switchyard
