// From a batch's logits to its routes. The rules are DeepSpeed's top1gating,
// top2gating and topkgating (deepspeed/moe/sharded_moe.py) for k = 1, k = 2 and
// k >= 3; tests/golden holds their answers.
#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTER_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTER_H_

#include <cstdint>
#include <vector>

#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/gate_draws.h"

namespace switchyard {

// What the router decided about one batch, and all that its backward needs.
// Of arrays over routes, entry t * k + r is choice r of token t.
struct RoutingDecision {
  int64_t num_tokens = 0;
  int32_t k = 1;
  // [tokens, num_experts] softmax of the logits, without noise. NaN rows for
  // tokens with non-finite logits.
  Tensor probabilities;
  // [tokens * k] -1: dropped, or the token is unused.
  std::vector<int32_t> expert_ids;
  // [tokens * k] position in the expert's input, from 0 and without gaps; 0
  // where dropped.
  std::vector<int32_t> slots;
  // [tokens * k] combine weight; 0 where dropped.
  std::vector<float> weights;
  // Most routes an expert could take. Where nothing can be dropped: the most
  // that one does take.
  int64_t capacity = 0;
  // [num_experts] routes to each expert before dropping, and after.
  std::vector<int64_t> expert_counts;
  std::vector<int64_t> kept_counts;
  // See ComputeAuxLoss.
  float aux_loss = 0;
  std::vector<float> aux_fractions;
};

// Routes a batch of logits [tokens, num_experts], by spec.gate.k:
//  1   The most probable expert (of noisy logits where draws.gumbel is given),
//      weighted with its plain probability. Over capacity the tokens with the
//      largest draws.rts_uniform stay where it is given, else the first in
//      token order.
//  2   The most probable expert and the runner-up (of noisy logits where
//      draws.gumbel is given). First choices get slots before second ones,
//      each in token order. Weights are normalised over what is kept.
//  >2  The k most probable experts. Over capacity spec.gate.drop_policy says
//      which tokens stay. Weights are normalised over what is kept.
// `used_tokens` [tokens], or empty for all: tokens marked false take part in no
// expert; k = 1 only, ignored above.
//
// Ties go to the lowest expert id and the lowest token. No tokens are valid. A
// token with a NaN or infinite logit chooses experts 0 ... k - 1 with NaN
// weights and is served last, so that the routes, slots and weights of the
// others are as if its choices had not been made (but counts and a dropless
// capacity include them, and the auxiliary loss is NaN).
//
// `spec` must have passed Validate; `logits`, `draws` and `used_tokens` must
// have the shapes given here. Cost: O(tokens * num_experts * log k) time,
// O(tokens * num_experts) memory. Pure; thread-safe.
RoutingDecision RouteTokens(const LayerSpec& spec, Mode mode,
                            ConstMatrix logits, const GateDraws& draws,
                            const std::vector<bool>& used_tokens);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTER_H_
