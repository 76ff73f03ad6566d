// The gate's inner loops, in the instruction set that the machine
// turns out to have. Nothing is allocated; a token's result depends on
// its own row alone.
#ifndef SWITCHYARD_GATEWAY_ROUTING_GATE_KERNELS_H_
#define SWITCHYARD_GATEWAY_ROUTING_GATE_KERNELS_H_

#include <cstdint>

namespace switchyard {

// out[e] = exp(l[e] - max) / sum for `size` >= 1 logits: exp is off by at most
// 1 ulp, the sum is float64 in eight parts, by e mod 8. False, `out` then being
// undefined, where a logit is NaN or infinite.
bool SoftmaxRow(const float* logits, int64_t size, float* out);

// TakeLargest looks at so many tokens at once, and finds at most so many keys.
inline constexpr int64_t kTokenBlock = 16;
inline constexpr int32_t kMostTaken = 16;

// ids[t * k + r]: the expert with the r-th largest key of token t, ties by
// expert; -1 where fewer keys than that are above -inf. `keys` [num_experts,
// kTokenBlock], no key may be NaN. k <= kMostTaken, num_experts <= 2^24.
// O(num_experts * k).
void TakeLargest(const float* keys, int64_t num_experts, int32_t k,
                 int32_t* ids);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GATE_KERNELS_H_
