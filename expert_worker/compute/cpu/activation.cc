#include "expert_worker/compute/cpu/activation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace switchyard {
namespace {

constexpr float kInverseSqrt2 = 0.70710678118654752f;
constexpr float kInverseSqrt2Pi = 0.39894228040143268f;
constexpr float kSqrt2OverPi = 0.79788456080286536f;
constexpr float kCubic = 0.044715f;

// Written so that NaN is not taken for a negative number.
float Relu(float x) { return x <= 0 ? 0.0f : x; }
float ReluDerivative(float x) { return x <= 0 ? 0.0f : 1.0f; }

float NormalDistribution(float x) {
  return 0.5f * (1.0f + std::erf(x * kInverseSqrt2));
}
float Gelu(float x) { return x * NormalDistribution(x); }
float GeluDerivative(float x) {
  return NormalDistribution(x) + x * kInverseSqrt2Pi * std::exp(-0.5f * x * x);
}

float GeluTanh(float x) {
  const float u = kSqrt2OverPi * (x + kCubic * x * x * x);
  return 0.5f * x * (1.0f + std::tanh(u));
}
float GeluTanhDerivative(float x) {
  // Beyond 10 the tanh is 1 in float32; squares of what is far beyond are
  // infinite, and 0 * infinity would be NaN.
  const float v = std::clamp(x, -10.0f, 10.0f);
  const float t = std::tanh(kSqrt2OverPi * (v + kCubic * v * v * v));
  const float du = kSqrt2OverPi * (1.0f + 3.0f * kCubic * v * v);
  return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * du;
}

float Silu(float x) { return x * Sigmoid(x); }
float SiluDerivative(float x) {
  const float s = Sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

template <float (*kFunction)(float)>
void Map(absl::Span<const float> pre, float* out) {
  for (size_t i = 0; i < pre.size(); ++i) out[i] = kFunction(pre[i]);
}

template <float (*kDerivative)(float)>
void MapDerivative(absl::Span<const float> pre, float* grad) {
  for (size_t i = 0; i < pre.size(); ++i) grad[i] *= kDerivative(pre[i]);
}

}  // namespace

float Sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

void Activate(Activation activation, absl::Span<const float> pre, float* out) {
  switch (activation) {
    case Activation::kRelu:
      return Map<Relu>(pre, out);
    case Activation::kGelu:
      return Map<Gelu>(pre, out);
    case Activation::kGeluTanh:
      return Map<GeluTanh>(pre, out);
    case Activation::kSilu:
      return Map<Silu>(pre, out);
  }
}

void MultiplyByDerivative(Activation activation, absl::Span<const float> pre,
                          float* grad) {
  switch (activation) {
    case Activation::kRelu:
      return MapDerivative<ReluDerivative>(pre, grad);
    case Activation::kGelu:
      return MapDerivative<GeluDerivative>(pre, grad);
    case Activation::kGeluTanh:
      return MapDerivative<GeluTanhDerivative>(pre, grad);
    case Activation::kSilu:
      return MapDerivative<SiluDerivative>(pre, grad);
  }
}

}  // namespace switchyard
