// Who is dropped where an expert is over capacity, and who gets which slot.
// Expert ids are [tokens * k]; -1: no route.
#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTE_DROP_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTE_DROP_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/gate_scores.h"
#include "gateway/routing/local_groups.h"

namespace switchyard {

// [num_experts] routes to each expert.
std::vector<int64_t> CountRoutes(absl::Span<const int32_t> expert_ids,
                                 int32_t num_experts);

// One local group on its way through the drops.
struct GroupRoutes {
  TokenRun run;
  // The order in which its tokens are served, those with finite logits first.
  std::vector<int64_t> tokens;
  int64_t num_finite_tokens = 0;
  int64_t capacity = 0;
};

// The part of `scores.token_order` that falls into a run.
GroupRoutes GroupOf(const GateScores& scores, TokenRun run);

// Where an expert has more routes in the group than its capacity, keeps those
// with the largest `keys` [tokens, num_experts] and sets the others to -1; ties
// go to the lowest token, and tokens with non-finite logits come last. Keys of
// finite tokens must be finite and >= 0.
void KeepLargestKeys(const GroupRoutes& group, ConstMatrix keys, int32_t k,
                     std::vector<int32_t>& expert_ids);

// Puts the finite tokens in order of falling best score: batch-prioritised
// routing (Riquelme et al., 2021, arXiv 2106.05974). `scores` [tokens,
// num_experts].
void OrderByPriority(ConstMatrix scores, GroupRoutes& group);

// The order in which an expert's slots are filled.
enum class SlotOrder {
  // Token by token, all k choices of a token together.
  kTokenMajor,
  // All first choices, token by token, then all second choices, and so on.
  kChoiceMajor,
};

// Slots so far, over all groups.
struct SlottedRoutes {
  // As chosen, -1 where there was no slot left.
  std::vector<int32_t> expert_ids;
  // [tokens * k] 0 where there is no route.
  std::vector<int32_t> slots;
  // [num_experts] slots taken.
  std::vector<int64_t> kept_counts;
};

// Gives each of the group's routes the next slot of its expert while the group
// has any; tokens with non-finite logits come after all others.
void AssignSlots(const GroupRoutes& group, int32_t k, SlotOrder order,
                 SlottedRoutes& routes);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTE_DROP_H_
