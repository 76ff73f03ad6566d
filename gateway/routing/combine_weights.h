#ifndef SWITCHYARD_GATEWAY_ROUTING_COMBINE_WEIGHTS_H_
#define SWITCHYARD_GATEWAY_ROUTING_COMBINE_WEIGHTS_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// Floor of the sum that weights are divided by: torch.finfo(float32).eps.
inline constexpr float kMinWeightSum = std::numeric_limits<float>::epsilon();

// Sum of the probabilities of one token's kept routes, in order of choice.
// `probabilities`: the token's row; `expert_ids`: its k routes, -1 where
// dropped.
float KeptProbability(const float* probabilities,
                      absl::Span<const int32_t> expert_ids);

// [tokens * k] weight of each kept route, 0 where there is none. k = 1: the
// probability itself. k >= 2: divided by the sum over the token's kept routes,
// or by kMinWeightSum where that is larger.
std::vector<float> CombineWeights(const Tensor& probabilities,
                                  absl::Span<const int32_t> expert_ids,
                                  int32_t k);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_COMBINE_WEIGHTS_H_
