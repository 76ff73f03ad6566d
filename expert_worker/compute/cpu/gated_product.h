#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_PRODUCT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_PRODUCT_H_

#include "absl/types/span.h"
#include "common/model/expert_spec.h"

namespace switchyard {

// What a gated expert makes of its two projections, element by element in
// float32, as activation.h:
//
//   without clamp: h = act(gate) * up
//   with it:       h = (u + 1) * g * sigmoid(alpha * g), g = min(gate, limit),
//                  u = clamp(up, -limit, limit) (GPT-OSS)
//
// What is clamped has derivative 0, what lies on the limit itself has not, as
// torch.clamp. Finite operands give NaN nowhere forward: products whose factors
// are beyond float32 are infinite, and where one factor vanishes they are 0.
// NaN goes in, NaN comes out.

// out[i] = h(gate[i], up[i]). All spans and arrays have one length; `out` may
// be an operand.
void GatedProduct(const GatedExpertSpec& spec, absl::Span<const float> gate,
                  absl::Span<const float> up, float* out);

// Backward, in place: `gate` and `up` are h's operands and become the gradients
// of them, `grad` is the gradient of h and becomes h.
void GatedProductBackward(const GatedExpertSpec& spec, absl::Span<float> gate,
                          absl::Span<float> up, float* grad);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_PRODUCT_H_
