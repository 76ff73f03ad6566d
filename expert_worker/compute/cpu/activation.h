// Activations, element by element in float32, on vectors of the best
// instruction set that the machine has (Highway). NaN goes in, NaN comes out.
//
//   ReLU:       max(x, 0); the derivative at 0 is 0, as in torch.
//   GELU:       x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2.
//   GELU, tanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (Hendrycks and
//               Gimpel, 2016).
//   SiLU:       x sigmoid(x) (the same paper).
//
// An element's result depends on nothing but its operands.
#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_H_

#include "absl/types/span.h"
#include "common/model/expert_spec.h"

namespace switchyard {

// out[i] = f(pre[i]). `out` has as many elements as `pre`, and may be `pre`.
void Activate(Activation activation, absl::Span<const float> pre, float* out);

// Backward, in place: `pre` is f's input and becomes the gradient of it, `grad`
// is the gradient of f's output and becomes that output, f(pre).
void ActivateBackward(Activation activation, absl::Span<float> pre,
                      float* grad);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_H_
