#include "gateway/dispatch/combine.h"

#include <algorithm>
#include <utility>

namespace switchyard {

Tensor CombinePartialRows(const DispatchPlan& plan, std::vector<Tensor> answers,
                          int64_t num_tokens, int64_t cols) {
  const auto is_whole = [num_tokens](const GroupDispatch& group) {
    return static_cast<int64_t>(group.token_idx.size()) == num_tokens;
  };
  if (plan.groups.size() == 1 && is_whole(plan.groups[0])) {
    return std::move(answers[0]);
  }
  Tensor sum = Tensor::Uninitialized({num_tokens, cols});
  std::vector<char> has_row(static_cast<size_t>(num_tokens), 0);
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    const GroupDispatch& group = plan.groups[g];
    for (size_t i = 0; i < group.token_idx.size(); ++i) {
      const int32_t token = group.token_idx[i];
      const float* from = answers[g].row(static_cast<int64_t>(i));
      float* to = sum.row(token);
      if (std::exchange(has_row[static_cast<size_t>(token)], 1) == 0) {
        std::copy_n(from, cols, to);
      } else {
        for (int64_t j = 0; j < cols; ++j) to[j] += from[j];
      }
    }
  }
  for (int64_t token = 0; token < num_tokens; ++token) {
    if (has_row[static_cast<size_t>(token)] != 0) continue;
    std::fill_n(sum.row(token), cols, 0.0f);
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
