// Phi-3.5-MoE's router: SparseMixer-v2 (Liu et al., 2023, arXiv 2310.00811;
// 2024, arXiv 2409.12136), as Hugging Face transformers' modeling_phimoe.py has
// it.
//
// With s the logits and eps the spec's sparsemixer_epsilon, choice 1 looks at
// the experts e with (m - s_e) / max(|s_e|, m) <= 2 eps, m being the largest s;
// choice 2 at the same among the others. A choice is the best of them, or in
// train mode one drawn from their softmax g (by Gumbel noise); its weight is
// its g, in train mode times h: 1 if it is the best of them or a draw from U(0,
// 1) exceeds 0.75, else 0.3333 (Heun's third-order method).
#ifndef SWITCHYARD_GATEWAY_ROUTING_SPARSE_MIXER_H_
#define SWITCHYARD_GATEWAY_ROUTING_SPARSE_MIXER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/gate_draws.h"
#include "gateway/routing/gate_scores.h"

namespace switchyard {

struct MixedChoices {
  // [tokens * 2].
  std::vector<int32_t> expert_ids;
  // [tokens * 2] g * h.
  std::vector<float> weights;
};

// draws.gumbel [tokens, 2 * num_experts] and draws.mixer_uniform [tokens, 2],
// or no elements in eval mode. Broken tokens choose experts 0 and 1, weights
// NaN.
MixedChoices SelectSparseMixer(float epsilon, ConstMatrix logits,
                               const GateScores& scores,
                               const GateDraws& draws);

// Adds to one token's d loss / d logit [num_experts] what its choices give for
// grad_weights = d loss / d (g h): grad_weight g_chosen (onehot - g), h being
// left out on purpose, as the method has it. `scratch`: [num_experts].
void SparseMixerBackward(float epsilon, absl::Span<const float> logits,
                         absl::Span<const int32_t> chosen,
                         absl::Span<const float> grad_weights,
                         absl::Span<float> scratch,
                         absl::Span<float> grad_logits);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_SPARSE_MIXER_H_
