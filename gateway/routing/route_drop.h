// Who is dropped where an expert is over capacity, and who gets which slot.
// Expert ids are [tokens * k]; -1: no route.
#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTE_DROP_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTE_DROP_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/softmax.h"

namespace switchyard {

// [num_experts] routes to each expert.
std::vector<int64_t> CountRoutes(absl::Span<const int32_t> expert_ids,
                                 int32_t num_experts);

// Where an expert has more than `capacity` routes, keeps those with the largest
// `scores` [tokens, num_experts] and sets the others to -1; ties go to the
// lowest token, and tokens with non-finite logits come last. Scores of finite
// tokens must be finite and >= 0. `counts` are the CountRoutes of `expert_ids`.
std::vector<int32_t> KeepHighestScores(std::vector<int32_t> expert_ids,
                                       int32_t k, ConstMatrix scores,
                                       const GateProbabilities& probabilities,
                                       absl::Span<const int64_t> counts,
                                       int64_t capacity);

// The order in which an expert's slots are filled.
enum class SlotOrder {
  // Token by token, all k choices of a token together.
  kTokenMajor,
  // All first choices, token by token, then all second choices.
  kChoiceMajor,
};

struct SlottedRoutes {
  // As given, -1 where there was no slot left.
  std::vector<int32_t> expert_ids;
  // [tokens * k] 0 where there is no route.
  std::vector<int32_t> slots;
  // [num_experts] slots taken.
  std::vector<int64_t> kept_counts;
};

// Gives each route the next slot of its expert while there are any; tokens with
// non-finite logits come after all others.
SlottedRoutes AssignSlots(std::vector<int32_t> expert_ids, int32_t k,
                          SlotOrder order,
                          const GateProbabilities& probabilities,
                          int32_t num_experts, int64_t capacity);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTE_DROP_H_
