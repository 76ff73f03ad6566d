#ifndef SWITCHYARD_GATEWAY_ROUTING_AUX_LOSS_H_
#define SWITCHYARD_GATEWAY_ROUTING_AUX_LOSS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/tensor/tensor.h"

namespace switchyard {

struct AuxLoss {
  float loss = 0;
  // [num_experts] see ComputeAuxLoss.
  std::vector<float> fractions;
};

// The factor A of the auxiliary loss: num_experts for k <= 2, num_experts / k
// above, so that perfect balance gives 1 for every k.
float AuxLossScale(int32_t num_experts, int32_t k);

// The load balancing loss of GShard and Switch Transformer as DeepSpeed has it:
//   A * sum over experts of mean_t(p[t, e]) * fraction[e],
// fraction[e] being the share of tokens that chose e before any dropping: the
// first choices for k <= 2, all choices above. The means are over all tokens,
// unused ones too. Fractions are constants to the gradient.
// Means and sum are taken in float64, in order of token and expert. NaN if any
// probability is; 0 without tokens.
// `expert_ids`: [tokens * k] before dropping, -1 for unused tokens.
AuxLoss ComputeAuxLoss(const Tensor& probabilities,
                       absl::Span<const int32_t> expert_ids, int32_t k,
                       int32_t num_experts);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_AUX_LOSS_H_
