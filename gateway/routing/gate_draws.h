// The random numbers of the gate.
#ifndef SWITCHYARD_GATEWAY_ROUTING_GATE_DRAWS_H_
#define SWITCHYARD_GATEWAY_ROUTING_GATE_DRAWS_H_

#include <cstdint>

#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// What one forward draws. A tensor of 0 elements: not drawn.
struct GateDraws {
  // [tokens, hidden_size], U(1 - e, 1 + e), e the jitter_epsilon: factor on the
  // gate's input.
  Tensor jitter;
  // [tokens, num_experts], N(0, gaussian_std^2): added to the logits.
  Tensor gaussian;
  // [tokens, num_experts], standard Gumbel: added to the logits to choose the
  // expert (k = 1) or the second expert (k = 2); [tokens, 2 * num_experts] for
  // sparsemixer's two choices.
  Tensor gumbel;
  // [tokens, 2], U(0, 1): which of sparsemixer's choices count in full.
  Tensor mixer_uniform;
  // [tokens, 1], U(0, 1): which second routes are kept.
  Tensor second_uniform;
  // [tokens, num_experts], U(0, 1): random token selection keeps the tokens
  // with the largest.
  Tensor rts_uniform;
};

// Draws what the layer's policies need in this mode and nothing else: in train
// mode the noise of its NoisePolicy (RSample for k = 1 only), gumbel for k = 2
// with second_expert_sampling and for sparsemixer, second_uniform with
// second_expert_random; rts_uniform for k = 1 with use_rts wherever tokens can
// be dropped.
//
// A token's draws depend on the layer's seed and name, step, microbatch and the
// token's position alone: not on the number of tokens, threads or workers.
GateDraws DrawForForward(const LayerSpec& spec, Mode mode, int64_t num_tokens,
                         uint64_t step, uint32_t microbatch);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GATE_DRAWS_H_
