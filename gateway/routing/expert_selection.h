// Which experts a token chooses. Ties go to the lowest expert id; a token with
// a NaN or infinite logit chooses experts 0 ... k - 1. All return [tokens * k]
// expert ids, entry t * k + r being choice r of token t.
#ifndef SWITCHYARD_GATEWAY_ROUTING_EXPERT_SELECTION_H_
#define SWITCHYARD_GATEWAY_ROUTING_EXPERT_SELECTION_H_

#include <cstdint>
#include <vector>

#include "common/tensor/tensor.h"
#include "gateway/routing/softmax.h"

namespace switchyard {

// The most probable expert or, where `gumbel` has elements, the one of largest
// logit + gumbel. -1 for tokens marked false in `used_tokens` (empty: all are
// used).
std::vector<int32_t> SelectTop1(const GateProbabilities& probabilities,
                                ConstMatrix logits, ConstMatrix gumbel,
                                const std::vector<bool>& used_tokens);

// The most probable expert and, among the others, the one of largest logit
// (plus gumbel, where it has elements). At least two experts.
std::vector<int32_t> SelectTop2(const GateProbabilities& probabilities,
                                ConstMatrix logits, ConstMatrix gumbel);

// The k most probable experts, most probable first.
std::vector<int32_t> SelectTopK(const GateProbabilities& probabilities,
                                int32_t k);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_EXPERT_SELECTION_H_
