#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_H_

#include "absl/types/span.h"
#include "common/model/expert_spec.h"

namespace switchyard {

// Activations, element by element in float32. NaN goes in, NaN comes out.
//
//   ReLU:       max(x, 0); the derivative at 0 is 0, as in torch.
//   GELU:       x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2.
//   GELU, tanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (Hendrycks and
//               Gimpel, 2016).
//   SiLU:       x sigmoid(x) (the same paper).

// out[i] = f(pre[i]). `out` has as many elements as `pre`.
void Activate(Activation activation, absl::Span<const float> pre, float* out);

// grad[i] *= f'(pre[i]): the gradient of f's output becomes that of its input.
void MultiplyByDerivative(Activation activation, absl::Span<const float> pre,
                          float* grad);

// 1 / (1 + exp(-x)). Its limits, without NaN, where exp overflows.
float Sigmoid(float x);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_ACTIVATION_H_
