#include "gateway/routing/route_drop.h"

#include <algorithm>
#include <utility>

namespace switchyard {
namespace {

// Below every score: last to be kept.
constexpr float kBrokenTokenScore = -1.0f;

// One number per route: its entry of `scores`.
std::vector<float> RouteScores(absl::Span<const int32_t> expert_ids, int32_t k,
                               ConstMatrix scores,
                               const GateProbabilities& probabilities) {
  const std::vector<int64_t>& order = probabilities.token_order;
  std::vector<float> route_scores(expert_ids.size(), kBrokenTokenScore);
  for (int64_t i = 0; i < probabilities.num_finite_tokens; ++i) {
    const int64_t token = order[static_cast<size_t>(i)];
    const float* row = scores.row(token);
    for (int64_t r = token * k; r < (token + 1) * k; ++r) {
      const int32_t expert = expert_ids[static_cast<size_t>(r)];
      if (expert >= 0) route_scores[static_cast<size_t>(r)] = row[expert];
    }
  }
  return route_scores;
}

// Route indices, those of expert 0 first, each expert's in ascending order.
std::vector<int64_t> RoutesByExpert(absl::Span<const int32_t> expert_ids,
                                    absl::Span<const int64_t> counts) {
  std::vector<int64_t> next(counts.size());
  int64_t num_routes = 0;
  for (size_t e = 0; e < counts.size(); ++e) {
    next[e] = num_routes;
    num_routes += counts[e];
  }
  std::vector<int64_t> routes(static_cast<size_t>(num_routes));
  for (size_t route = 0; route < expert_ids.size(); ++route) {
    const int32_t expert = expert_ids[route];
    if (expert < 0) continue;
    const int64_t position = next[static_cast<size_t>(expert)]++;
    routes[static_cast<size_t>(position)] = static_cast<int64_t>(route);
  }
  return routes;
}

// Calls visit(route) for the routes of the tokens at `order` [begin, end).
template <typename Visit>
void VisitRoutes(absl::Span<const int64_t> tokens, int32_t k, SlotOrder order,
                 Visit visit) {
  if (order == SlotOrder::kTokenMajor) {
    for (const int64_t token : tokens) {
      for (int32_t r = 0; r < k; ++r) visit(token * k + r);
    }
    return;
  }
  for (int32_t r = 0; r < k; ++r) {
    for (const int64_t token : tokens) visit(token * k + r);
  }
}

}  // namespace

std::vector<int64_t> CountRoutes(absl::Span<const int32_t> expert_ids,
                                 int32_t num_experts) {
  std::vector<int64_t> counts(static_cast<size_t>(num_experts), 0);
  for (const int32_t expert : expert_ids) {
    if (expert >= 0) ++counts[static_cast<size_t>(expert)];
  }
  return counts;
}

std::vector<int32_t> KeepHighestScores(std::vector<int32_t> expert_ids,
                                       int32_t k, ConstMatrix scores,
                                       const GateProbabilities& probabilities,
                                       absl::Span<const int64_t> counts,
                                       int64_t capacity) {
  if (std::all_of(counts.begin(), counts.end(),
                  [capacity](int64_t count) { return count <= capacity; })) {
    return expert_ids;
  }
  const std::vector<float> route_scores =
      RouteScores(expert_ids, k, scores, probabilities);
  const auto is_better = [&route_scores](int64_t a, int64_t b) {
    const float score_a = route_scores[static_cast<size_t>(a)];
    const float score_b = route_scores[static_cast<size_t>(b)];
    return score_a > score_b || (score_a == score_b && a < b);
  };
  std::vector<int64_t> routes = RoutesByExpert(expert_ids, counts);
  auto begin = routes.begin();
  for (const int64_t count : counts) {
    const auto end = begin + count;
    if (count > capacity) {
      std::nth_element(begin, begin + capacity, end, is_better);
      for (auto dropped = begin + capacity; dropped != end; ++dropped) {
        expert_ids[static_cast<size_t>(*dropped)] = -1;
      }
    }
    begin = end;
  }
  return expert_ids;
}

SlottedRoutes AssignSlots(std::vector<int32_t> expert_ids, int32_t k,
                          SlotOrder order,
                          const GateProbabilities& probabilities,
                          int32_t num_experts, int64_t capacity) {
  SlottedRoutes routes;
  routes.slots.assign(expert_ids.size(), 0);
  routes.kept_counts.assign(static_cast<size_t>(num_experts), 0);
  const auto take_slot = [&](int64_t route) {
    int32_t& expert = expert_ids[static_cast<size_t>(route)];
    if (expert < 0) return;
    int64_t& kept = routes.kept_counts[static_cast<size_t>(expert)];
    if (kept < capacity) {
      routes.slots[static_cast<size_t>(route)] = static_cast<int32_t>(kept++);
    } else {
      expert = -1;
    }
  };
  const absl::Span<const int64_t> tokens = probabilities.token_order;
  const size_t num_finite =
      static_cast<size_t>(probabilities.num_finite_tokens);
  VisitRoutes(tokens.subspan(0, num_finite), k, order, take_slot);
  VisitRoutes(tokens.subspan(num_finite), k, order, take_slot);
  routes.expert_ids = std::move(expert_ids);
  return routes;
}

}  // namespace switchyard
