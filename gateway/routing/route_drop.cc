#include "gateway/routing/route_drop.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/base/casts.h"

namespace switchyard {
namespace {

// Ranks after every key of a finite token.
constexpr uint32_t kBrokenTokenRank = std::numeric_limits<uint32_t>::max();

// Falls as the key rises, for keys >= 0.
uint32_t RankOfKey(float key) {
  // Adding 0 takes the sign off -0.
  return ~absl::bit_cast<uint32_t>(key + 0.0f);
}

// Calls visit(entry, expert, is_finite) for the group's routes in the order in
// which its tokens are served.
template <typename Visit>
void VisitChosen(const GroupRoutes& group, int32_t k,
                 const std::vector<int32_t>& expert_ids, Visit visit) {
  for (size_t i = 0; i < group.tokens.size(); ++i) {
    const bool is_finite = static_cast<int64_t>(i) < group.num_finite_tokens;
    const int64_t begin = group.tokens[i] * k;
    for (int64_t entry = begin; entry < begin + k; ++entry) {
      const int32_t expert = expert_ids[static_cast<size_t>(entry)];
      if (expert >= 0) visit(entry, static_cast<size_t>(expert), is_finite);
    }
  }
}

// The routes to experts over capacity, those of an expert side by side, each
// expert's in the order in which they are served.
struct CrowdedRoutes {
  // [num_experts + 1] where an expert's begin; those with room have none.
  std::vector<size_t> begins;
  // RankOfKey above, the place among the expert's below: the smallest stay, and
  // no two are equal.
  std::vector<uint64_t> ranks;
  std::vector<int64_t> entries;
};

CrowdedRoutes RoutesOverCapacity(const GroupRoutes& group, ConstMatrix keys,
                                 int32_t k,
                                 const std::vector<int32_t>& expert_ids) {
  const size_t num_experts = static_cast<size_t>(keys.num_cols);
  std::vector<int64_t> counts(num_experts, 0);
  VisitChosen(group, k, expert_ids,
              [&counts](int64_t, size_t e, bool) { ++counts[e]; });
  CrowdedRoutes routes;
  routes.begins.assign(num_experts + 1, 0);
  for (size_t e = 0; e < num_experts; ++e) {
    const int64_t taken = counts[e] > group.capacity ? counts[e] : 0;
    routes.begins[e + 1] = routes.begins[e] + static_cast<size_t>(taken);
  }
  routes.ranks.resize(routes.begins.back());
  routes.entries.resize(routes.begins.back());
  std::vector<size_t> places(num_experts, 0);
  VisitChosen(
      group, k, expert_ids, [&](int64_t entry, size_t e, bool is_finite) {
        if (routes.begins[e] == routes.begins[e + 1]) return;
        const uint32_t rank =
            is_finite ? RankOfKey(keys.row(entry / k)[e]) : kBrokenTokenRank;
        const size_t place = places[e]++;
        routes.ranks[routes.begins[e] + place] = uint64_t{rank} << 32 | place;
        routes.entries[routes.begins[e] + place] = entry;
      });
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
  CrowdedRoutes routes = RoutesOverCapacity(group, keys, k, expert_ids);
  for (size_t e = 0; e + 1 < routes.begins.size(); ++e) {
    const size_t begin = routes.begins[e];
    if (begin == routes.begins[e + 1]) continue;
    const auto first = routes.ranks.begin() + static_cast<ptrdiff_t>(begin);
    const auto kept_end = first + static_cast<ptrdiff_t>(group.capacity);
    const auto end =
        routes.ranks.begin() + static_cast<ptrdiff_t>(routes.begins[e + 1]);
    std::nth_element(first, kept_end, end);
    for (auto dropped = kept_end; dropped != end; ++dropped) {
      const size_t place = static_cast<uint32_t>(*dropped);
      expert_ids[static_cast<size_t>(routes.entries[begin + place])] = -1;
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
