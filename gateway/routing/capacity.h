#ifndef SWITCHYARD_GATEWAY_ROUTING_CAPACITY_H_
#define SWITCHYARD_GATEWAY_ROUTING_CAPACITY_H_

#include <cstdint>

#include "common/model/layer_spec.h"

namespace switchyard {

// Most routes that one expert takes from a batch of `num_tokens`:
//   max(ceil(float32(num_tokens / num_experts) * float32(capacity_factor * k)),
//       min_capacity)
// The roundings are DeepSpeed's (sharded_moe.py, _capacity): the quotient and
// capacity_factor * k are formed in float64 and rounded to float32, their
// product and the ceiling are float32. Hence 100 tokens, 4 experts and a factor
// of 1.2 give 31.
//
// DeepSpeed's factor is a float64 and ours a float32, so it is first taken back
// to the decimal that was meant: 1.2f is 1.2, not 1.2000000477. For factors of
// up to 6 digits that restores DeepSpeed's float64 exactly (any such decimal
// survives float32); multiplying the widened float32 instead would be off by
// one in 0.9 % of the cases of capacity_test.cc, all with k of 3, 5, 6 or 7.
//
// Saturates at 2^62.
int64_t ExpertCapacity(int64_t num_tokens, int32_t num_experts,
                       float capacity_factor, int32_t k, int64_t min_capacity);

// Whether an expert may refuse routes in this mode: in train mode
// `drop_tokens`, in eval mode whether it has a factor or capacity of its own.
bool CanDrop(const CapacitySpec& capacity, Mode mode);

// With the layer's settings for a mode in which CanDrop: the capacity that is
// given, or else by the factor.
int64_t ExpertCapacity(const LayerSpec& spec, Mode mode, int64_t num_tokens);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_CAPACITY_H_
