#ifndef SWITCHYARD_GATEWAY_ROUTING_GATE_SCORES_H_
#define SWITCHYARD_GATEWAY_ROUTING_GATE_SCORES_H_

#include <cstdint>
#include <vector>

#include "common/model/gate_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

struct GateScores {
  // [tokens, num_experts]. A token with a NaN or infinite logit has a row of
  // NaN.
  Tensor values;
  // The order in which tokens are served: those with finite logits, ascending,
  // then the others, ascending. So a broken token takes no slot from a sound
  // one.
  std::vector<int64_t> token_order;
  // How many tokens of `token_order` are finite.
  int64_t num_finite_tokens = 0;
};

// In float32, row by row:
//   kSoftmax       exp(l - max) / sum, see SoftmaxRow: a value is off by at
//                  most 3 ulp
//   kSigmoid       1 / (1 + exp(-l))
//   kSqrtSoftplus  sqrt(log(1 + exp(l)))
GateScores ComputeScores(ScoreFunction function, ConstMatrix logits);

// Turns one token's d loss / d score into d loss / d logit, in place.
//   kSoftmax       s_e (g_e - sum_j s_j g_j), the sum in float64
//   kSigmoid       g s (1 - s)
//   kSqrtSoftplus  g (1 - exp(-s^2)) / (2 s)
void ScoresBackward(ScoreFunction function, const float* scores,
                    int64_t num_experts, float* grad_row);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GATE_SCORES_H_
