#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTING_DECISION_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTING_DECISION_H_

#include <cstdint>
#include <vector>

#include "common/tensor/tensor.h"
#include "gateway/routing/aux_losses.h"

namespace switchyard {

// What the router decided about one batch, and all that its backward needs.
// Of arrays over routes, entry t * k + r is choice r of token t.
struct RoutingDecision {
  int64_t num_tokens = 0;
  // Routes per token. Under expert choice the most that any token got, at
  // least 1.
  int32_t k = 1;
  // [tokens * k] -1: dropped, the token is unused, or it has fewer routes.
  std::vector<int32_t> expert_ids;
  // [tokens * k] position in the expert's input, from 0 and without gaps; 0
  // where there is no route.
  std::vector<int32_t> slots;
  // [tokens * k] combine weight; 0 where there is no route.
  std::vector<float> weights;
  // Most routes an expert could take from one local group. Where nothing can be
  // dropped: the most that one does take.
  int64_t capacity = 0;
  // [num_experts] routes to each expert before dropping, and after.
  std::vector<int64_t> expert_counts;
  std::vector<int64_t> kept_counts;
  // The sum of coefficient * term.
  float aux_loss = 0;
  // One per entry of gate.aux_losses, without coefficient; DeepSpeed's
  // balancing loss alone where that is empty.
  std::vector<float> aux_loss_terms;

  // For the backward.

  // [tokens, num_experts] probabilities where the score function is softmax.
  // NaN rows for tokens with non-finite logits.
  Tensor scores;
  // [tokens * k] the experts before dropping, and their weights before
  // normalisation.
  std::vector<int32_t> chosen_ids;
  std::vector<float> raw_weights;
  // One per entry of aux_loss_terms.
  std::vector<AuxTermSlopes> aux_term_slopes;
  // [tokens], or empty for all, see RouterInput.
  std::vector<bool> used_tokens;
  // [tokens, num_experts] what the scores were made of, Gaussian noise
  // included, and the same without noise. No elements where no step of the
  // backward needs them.
  Tensor logits;
  Tensor clean_logits;

  // Of everything the decision holds.
  int64_t size_bytes() const;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTING_DECISION_H_
