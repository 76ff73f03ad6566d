#ifndef SWITCHYARD_GATEWAY_ROUTING_GATE_PROJECTION_H_
#define SWITCHYARD_GATEWAY_ROUTING_GATE_PROJECTION_H_

#include "common/linalg/gemm.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// Expert logits [tokens, num_experts] = (x * jitter) W^T, for x [tokens,
// hidden_size] and the gate's weight W [num_experts, hidden_size]. `jitter` has
// the shape of x or no elements (no noise).
Tensor GateLogits(ConstMatrix x, const Tensor& jitter,
                  const PackedMatrix& gate_weight);

// Its backward, for grad_logits [tokens, num_experts]: adds
// grad_logits^T (x * jitter) to grad_gate_weight and
// (grad_logits W) * jitter to grad_x [tokens, hidden_size].
void GateProjectionBackward(ConstMatrix x, const Tensor& jitter,
                            const Tensor& gate_weight,
                            const Tensor& grad_logits, Tensor& grad_gate_weight,
                            Tensor& grad_x);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GATE_PROJECTION_H_
