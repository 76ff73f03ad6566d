#include "gateway/dispatch/dispatch_plan.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace switchyard {

absl::StatusOr<DispatchPlan> PlanDispatch(const TokenRoutes& routes,
                                          const Placement& placement) {
  std::vector<GroupDispatch> by_worker(placement.workers().size());
  for (int64_t token = 0; token < routes.num_tokens; ++token) {
    for (int32_t choice = 0; choice < routes.k; ++choice) {
      const int64_t entry = token * routes.k + choice;
      const int32_t expert = routes.expert_ids[static_cast<size_t>(entry)];
      if (expert < 0) continue;
      const std::vector<int32_t>& replicas = placement.replicas(expert);
      if (replicas.empty()) {
        return absl::UnavailableError(
            absl::StrCat("expert ", expert, " has no live worker"));
      }
      const int64_t replica =
          token * static_cast<int64_t>(replicas.size()) / routes.num_tokens;
      GroupDispatch& group = by_worker[static_cast<size_t>(
          replicas[static_cast<size_t>(replica)])];
      if (group.token_idx.empty() || group.token_idx.back() != token) {
        group.token_idx.push_back(static_cast<int32_t>(token));
      }
      group.route_tokens.push_back(
          static_cast<int32_t>(group.token_idx.size()) - 1);
      group.route_experts.push_back(expert);
      group.route_weights.push_back(routes.weights[static_cast<size_t>(entry)]);
      group.route_entries.push_back(entry);
    }
  }
  DispatchPlan plan;
  for (size_t i = 0; i < by_worker.size(); ++i) {
    if (by_worker[i].route_entries.empty()) continue;
    by_worker[i].worker_idx = static_cast<int32_t>(i);
    plan.groups.push_back(std::move(by_worker[i]));
  }
  return plan;
}

Tensor GatherRows(ConstMatrix batch, const GroupDispatch& group) {
  Tensor rows = Tensor::Uninitialized(
      {static_cast<int64_t>(group.token_idx.size()), batch.num_cols});
  const size_t row_bytes = static_cast<size_t>(batch.num_cols) * sizeof(float);
  for (size_t i = 0; i < group.token_idx.size(); ++i) {
    std::memcpy(rows.row(static_cast<int64_t>(i)),
                batch.row(group.token_idx[i]), row_bytes);
  }
  return rows;
}

}  // namespace switchyard
