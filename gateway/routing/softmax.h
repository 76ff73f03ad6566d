#ifndef SWITCHYARD_GATEWAY_ROUTING_SOFTMAX_H_
#define SWITCHYARD_GATEWAY_ROUTING_SOFTMAX_H_

#include <cstdint>
#include <vector>

#include "common/tensor/tensor.h"

namespace switchyard {

struct GateProbabilities {
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

// Row-wise exp(l - max) / sum, in float32; the sum is taken in float64 from
// left to right, so a value is off by at most 3 ulp of float32.
GateProbabilities GateSoftmax(ConstMatrix logits);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_SOFTMAX_H_
