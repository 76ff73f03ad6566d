// The gate's inner loops for one token, in the instruction set that the machine
// turns out to have. Nothing is allocated; a result depends on its row alone.
#ifndef SWITCHYARD_GATEWAY_ROUTING_GATE_KERNELS_H_
#define SWITCHYARD_GATEWAY_ROUTING_GATE_KERNELS_H_

#include <cstdint>

namespace switchyard {

// out[e] = exp(l[e] - max) / sum for `size` >= 1 logits: exp is off by at most
// 1 ulp, the sum is float64 in eight parts, by e mod 8. False, `out` then being
// undefined, where a logit is NaN or infinite.
bool SoftmaxRow(const float* logits, int64_t size, float* out);

// TakeLargest reads keys in blocks of so many.
inline constexpr int64_t kKeyBlock = 16;

// The indices of the k largest of `size` keys, the largest first, ties by
// index. `keys` has room for a multiple of kKeyBlock and -inf beyond `size`;
// what is taken is overwritten. No key may be NaN. O(size * k). False, `ids`
// then being undefined, where fewer than k keys are above -inf.
bool TakeLargest(float* keys, int64_t size, int32_t k, int32_t* ids);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GATE_KERNELS_H_
