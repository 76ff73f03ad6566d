#include "gateway/routing/route_drop.h"

#include <algorithm>
#include <utility>

namespace switchyard {
namespace {

// Below every key: last to be kept.
constexpr float kBrokenTokenKey = -1.0f;

// A route that may be dropped, and what speaks for it.
struct RankedRoute {
  float key;
  size_t entry;
};

// The group's routes by expert, each expert's in order of token.
std::vector<std::vector<RankedRoute>> RoutesByExpert(
    const GroupRoutes& group, ConstMatrix keys, int32_t k,
    const std::vector<int32_t>& expert_ids) {
  std::vector<std::vector<RankedRoute>> routes(
      static_cast<size_t>(keys.num_cols));
  for (size_t i = 0; i < group.tokens.size(); ++i) {
    const int64_t token = group.tokens[i];
    const bool finite = static_cast<int64_t>(i) < group.num_finite_tokens;
    for (int64_t r = token * k; r < (token + 1) * k; ++r) {
      const int32_t expert = expert_ids[static_cast<size_t>(r)];
      if (expert < 0) continue;
      routes[static_cast<size_t>(expert)].push_back(
          {finite ? keys.row(token)[expert] : kBrokenTokenKey,
           static_cast<size_t>(r)});
    }
  }
  return routes;
}

// Calls visit(entry) for the routes of the tokens.
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

GroupRoutes GroupOf(const GateScores& scores, TokenRun run) {
  GroupRoutes group;
  group.run = run;
  const auto begin = scores.token_order.begin();
  const auto finite_end = begin + scores.num_finite_tokens;
  // Both parts ascend.
  const auto copy_part = [&group, run](auto from, auto to) {
    group.tokens.insert(group.tokens.end(),
                        std::lower_bound(from, to, run.begin),
                        std::lower_bound(from, to, run.end));
  };
  copy_part(begin, finite_end);
  group.num_finite_tokens = static_cast<int64_t>(group.tokens.size());
  copy_part(finite_end, scores.token_order.end());
  return group;
}

void KeepLargestKeys(const GroupRoutes& group, ConstMatrix keys, int32_t k,
                     std::vector<int32_t>& expert_ids) {
  const size_t capacity = static_cast<size_t>(group.capacity);
  for (std::vector<RankedRoute>& routes :
       RoutesByExpert(group, keys, k, expert_ids)) {
    if (routes.size() <= capacity) continue;
    const auto kept_end = routes.begin() + group.capacity;
    std::nth_element(routes.begin(), kept_end, routes.end(),
                     [](const RankedRoute& a, const RankedRoute& b) {
                       return a.key > b.key ||
                              (a.key == b.key && a.entry < b.entry);
                     });
    for (auto dropped = kept_end; dropped != routes.end(); ++dropped) {
      expert_ids[dropped->entry] = -1;
    }
  }
}

void OrderByPriority(ConstMatrix scores, GroupRoutes& group) {
  std::vector<float> best(static_cast<size_t>(group.run.size()));
  for (int64_t token = group.run.begin; token < group.run.end; ++token) {
    const float* row = scores.row(token);
    best[static_cast<size_t>(token - group.run.begin)] =
        *std::max_element(row, row + scores.num_cols);
  }
  const auto best_of = [&best, &group](int64_t token) {
    return best[static_cast<size_t>(token - group.run.begin)];
  };
  std::stable_sort(
      group.tokens.begin(), group.tokens.begin() + group.num_finite_tokens,
      [&best_of](int64_t a, int64_t b) { return best_of(a) > best_of(b); });
}

void AssignSlots(const GroupRoutes& group, int32_t k, SlotOrder order,
                 SlottedRoutes& routes) {
  // Of each expert, in this group.
  std::vector<int64_t> num_taken(routes.kept_counts.size(), 0);
  const auto take_slot = [&](int64_t route) {
    const size_t entry = static_cast<size_t>(route);
    int32_t& expert = routes.expert_ids[entry];
    if (expert < 0) return;
    const size_t e = static_cast<size_t>(expert);
    if (num_taken[e] < group.capacity) {
      ++num_taken[e];
      routes.slots[entry] = static_cast<int32_t>(routes.kept_counts[e]++);
    } else {
      expert = -1;
    }
  };
  const absl::Span<const int64_t> tokens = group.tokens;
  const size_t num_finite = static_cast<size_t>(group.num_finite_tokens);
  VisitRoutes(tokens.subspan(0, num_finite), k, order, take_slot);
  VisitRoutes(tokens.subspan(num_finite), k, order, take_slot);
}

}  // namespace switchyard
