#include "expert_worker/compute/cpu/gated_product.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "expert_worker/compute/cpu/activation.h"

namespace switchyard {
namespace {

// Both keep a NaN, as std::min and std::clamp return their first argument
// where comparisons fail.
float ClampedGate(const ClampedGateSpec& clamp, float gate) {
  return std::min(gate, clamp.limit);
}
float ClampedUp(const ClampedGateSpec& clamp, float up) {
  return std::clamp(up, -clamp.limit, clamp.limit);
}

// The derivative of g * sigmoid(alpha * g).
float SwishDerivative(float alpha, float g) {
  // Beyond 200 the sigmoid is 0 or 1 in float32; alpha * g may be infinite, and
  // 0 * infinity would be NaN.
  const float t = std::clamp(alpha * g, -200.0f, 200.0f);
  const float s = Sigmoid(t);
  return s * (1.0f + t * (1.0f - s));
}

void ClampedProduct(const ClampedGateSpec& clamp, absl::Span<const float> gate,
                    absl::Span<const float> up, float* out) {
  for (size_t i = 0; i < gate.size(); ++i) {
    const float g = ClampedGate(clamp, gate[i]);
    const float swish = g * Sigmoid(clamp.alpha * g);
    out[i] = (ClampedUp(clamp, up[i]) + 1.0f) * swish;
  }
}

void ClampedGradient(const ClampedGateSpec& clamp, absl::Span<const float> gate,
                     absl::Span<const float> up, float* grad, float* grad_up) {
  for (size_t i = 0; i < gate.size(); ++i) {
    const float g = ClampedGate(clamp, gate[i]);
    const float u = ClampedUp(clamp, up[i]);
    const float grad_h = grad[i];
    grad_up[i] = std::abs(up[i]) > clamp.limit
                     ? 0.0f
                     : grad_h * (g * Sigmoid(clamp.alpha * g));
    grad[i] = gate[i] > clamp.limit
                  ? 0.0f
                  : grad_h * SwishDerivative(clamp.alpha, g) * (u + 1.0f);
  }
}

}  // namespace

void GatedProduct(const GatedExpertSpec& spec, absl::Span<const float> gate,
                  absl::Span<const float> up, float* out) {
  if (spec.clamp.has_value()) return ClampedProduct(*spec.clamp, gate, up, out);
  Activate(spec.activation, gate, out);
  for (size_t i = 0; i < up.size(); ++i) out[i] *= up[i];
}

void GatedProductGradient(const GatedExpertSpec& spec,
                          absl::Span<const float> gate,
                          absl::Span<const float> up, float* grad,
                          float* grad_up) {
  if (spec.clamp.has_value()) {
    return ClampedGradient(*spec.clamp, gate, up, grad, grad_up);
  }
  Activate(spec.activation, gate, grad_up);
  for (size_t i = 0; i < up.size(); ++i) grad_up[i] *= grad[i];
  // The derivative first: grad * up alone may be infinite where the derivative
  // is 0.
  MultiplyByDerivative(spec.activation, gate, grad);
  for (size_t i = 0; i < up.size(); ++i) grad[i] *= up[i];
}

}  // namespace switchyard
