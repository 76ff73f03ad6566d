#ifndef SWITCHYARD_GATEWAY_ROUTING_EXPERT_SELECTION_H_
#define SWITCHYARD_GATEWAY_ROUTING_EXPERT_SELECTION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/model/gate_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/gate_draws.h"
#include "gateway/routing/gate_scores.h"

namespace switchyard {

// What the choice of experts looks at. Borrowed.
struct SelectionInput {
  // [tokens, num_experts].
  ConstMatrix logits;
  const GateScores& scores;
  // [num_experts], or empty.
  absl::Span<const float> correction_bias;
  const GateDraws& draws;
  // Empty: all.
  const std::vector<bool>& used_tokens;
};

// The k experts of each token, best first: [tokens * k] ids, entry t * k + r
// being choice r of token t; -1 for unused tokens (k = 1).
//
// Experts are ranked by score or logit (GateSpec::rank_by) plus the correction
// bias, inside the best groups. Two rules are DeepSpeed's
// (deepspeed/moe/sharded_moe.py): for k = 1 with draws.gumbel the largest
// logit + gumbel counts; for k = 2 without correction bias the second choice is
// the largest of the other logits (+ draws.gumbel).
//
// Ties go to the lowest expert id; a token with a NaN or infinite logit chooses
// experts 0 ... k - 1.
std::vector<int32_t> SelectTopK(const GateSpec& gate,
                                const SelectionInput& input);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_EXPERT_SELECTION_H_
