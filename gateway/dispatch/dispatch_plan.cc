#include "gateway/dispatch/dispatch_plan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

// Makes room for each worker's part of the routes.
void ReserveGroups(const TokenRoutes& routes, const Placement& placement,
                   std::vector<GroupDispatch>& by_worker) {
  std::vector<size_t> counts(static_cast<size_t>(placement.num_experts()), 0);
  for (const int32_t expert : routes.expert_ids) {
    if (expert >= 0) ++counts[static_cast<size_t>(expert)];
  }
  std::vector<size_t> num_routes(by_worker.size(), 0);
  for (size_t e = 0; e < counts.size(); ++e) {
    const std::vector<int32_t>& replicas =
        placement.replicas(static_cast<int32_t>(e));
    for (const int32_t worker : replicas) {
      // Replicas take about as many each.
      num_routes[static_cast<size_t>(worker)] += counts[e] / replicas.size();
    }
  }
  for (size_t i = 0; i < by_worker.size(); ++i) {
    GroupDispatch& group = by_worker[i];
    group.token_idx.reserve(
        std::min(num_routes[i], static_cast<size_t>(routes.num_tokens)));
    group.route_tokens.reserve(num_routes[i]);
    group.route_experts.reserve(num_routes[i]);
    group.route_weights.reserve(num_routes[i]);
    group.route_entries.reserve(num_routes[i]);
  }
}

}  // namespace

absl::StatusOr<DispatchPlan> PlanDispatch(const TokenRoutes& routes,
                                          const Placement& placement) {
  std::vector<GroupDispatch> by_worker(placement.workers().size());
  ReserveGroups(routes, placement, by_worker);
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
          replicas.size() == 1 ? 0
                               : token * static_cast<int64_t>(replicas.size()) /
                                     routes.num_tokens;
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

Tensor GatherRows(const Tensor& batch, const GroupDispatch& group,
                  absl::FunctionRef<Tensor(const Shape&)> allocate) {
  const auto num_rows = static_cast<int64_t>(group.token_idx.size());
  // They are distinct and in order.
  if (num_rows == batch.rows()) {
    Tensor all = batch.Share();
    all.Reshape({num_rows, batch.cols()});
    return all;
  }
  Tensor rows = allocate({num_rows, batch.cols()});
  const size_t row_bytes = static_cast<size_t>(batch.cols()) * sizeof(float);
  for (size_t i = 0; i < group.token_idx.size(); ++i) {
    std::memcpy(rows.row(static_cast<int64_t>(i)),
                batch.row(group.token_idx[i]), row_bytes);
  }
  return rows;
}

}  // namespace switchyard
