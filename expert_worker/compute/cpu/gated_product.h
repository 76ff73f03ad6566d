#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_PRODUCT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_PRODUCT_H_

#include "absl/types/span.h"
#include "common/model/expert_spec.h"

namespace switchyard {

// What a gated expert makes of its two projections, element by element in
// float32:
//
//   without clamp: h = act(gate) * up
//   with it:       h = (u + 1) * g * sigmoid(alpha * g), g = min(gate, limit),
//                  u = clamp(up, -limit, limit) (GPT-OSS)
//
// What is clamped has derivative 0, what lies on the limit itself has not, as
// torch.clamp. Finite operands give NaN nowhere: products whose factors are
// beyond float32 are infinite, and where one factor vanishes they are 0. NaN
// goes in, NaN comes out.

// out[i] = h(gate[i], up[i]). All spans and arrays have one length.
void GatedProduct(const GatedExpertSpec& spec, absl::Span<const float> gate,
                  absl::Span<const float> up, float* out);

// Turns the gradient of h into those of its operands: `grad` is that of h at
// first and that of gate afterwards; grad_up is written.
void GatedProductGradient(const GatedExpertSpec& spec,
                          absl::Span<const float> gate,
                          absl::Span<const float> up, float* grad,
                          float* grad_up);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_PRODUCT_H_
