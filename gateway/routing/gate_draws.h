// The random numbers of the gate.
#ifndef SWITCHYARD_GATEWAY_ROUTING_GATE_DRAWS_H_
#define SWITCHYARD_GATEWAY_ROUTING_GATE_DRAWS_H_

#include <cstdint>

#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// What one forward draws. A tensor of 0 elements: not drawn.
struct GateDraws {
  // [tokens, hidden_size], U(0.99, 1.01): factor on the gate's input.
  Tensor jitter;
  // [tokens, num_experts], standard Gumbel: added to the logits to choose the
  // expert (k = 1) or the second expert (k = 2).
  Tensor gumbel;
  // [tokens, num_experts], U(0, 1): random token selection keeps the tokens
  // with the largest.
  Tensor rts_uniform;
};

// Draws what the layer's policies need in this mode and nothing else: jitter in
// train mode under NoisePolicy::kJitter; gumbel in train mode for k = 1 under
// kRSample and for k = 2 with second_expert_sampling; rts_uniform for k = 1
// with use_rts wherever tokens can be dropped.
//
// A token's draws depend on the layer's seed and name, step, microbatch and the
// token's position alone: not on the number of tokens, threads or workers.
GateDraws DrawForForward(const LayerSpec& spec, Mode mode, int64_t num_tokens,
                         uint64_t step, uint32_t microbatch);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GATE_DRAWS_H_
