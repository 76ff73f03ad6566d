#include "expert_worker/compute/cpu/gated_product.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "expert_worker/compute/cpu/gated_product.cc"
#include <hwy/foreach_target.h>

#include "expert_worker/compute/cpu/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard {
namespace HWY_NAMESPACE {
namespace {

// The gate becomes h.
template <typename Function>
struct Product {
  HWY_INLINE void operator()(Vector& gate, Vector& up, Vector&) const {
    gate = hn::Mul(Function::Value(gate), up);
  }
};

template <typename Function>
struct ProductBackward {
  HWY_INLINE void operator()(Vector& gate, Vector& up, Vector& grad) const {
    Vector derivative;
    const Vector activated = Function::Both(gate, &derivative);
    // The derivative first: grad * up alone may be infinite where the
    // derivative is 0.
    gate = hn::Mul(hn::Mul(grad, derivative), up);
    const Vector h = hn::Mul(activated, up);
    up = hn::Mul(activated, grad);
    grad = h;
  }
};

struct Clamp {
  explicit HWY_INLINE Clamp(const ClampedGateSpec& spec)
      : limit(Constant(spec.limit)), alpha(Constant(spec.alpha)) {}

  // Comparisons with NaN fail, so both keep one.
  HWY_INLINE Vector Gate(Vector gate) const {
    return hn::IfThenElse(hn::Gt(gate, limit), limit, gate);
  }
  HWY_INLINE Vector Up(Vector up) const {
    const Vector below = hn::IfThenElse(hn::Gt(up, limit), limit, up);
    const Vector lowest = hn::Neg(limit);
    return hn::IfThenElse(hn::Lt(below, lowest), lowest, below);
  }
  HWY_INLINE Vector Swish(Vector g) const {
    return hn::Mul(g, Sigmoid(hn::Mul(alpha, g)));
  }
  // The derivative of Swish.
  HWY_INLINE Vector SwishDerivative(Vector g) const {
    // Beyond 200 the sigmoid is 0 or 1 in float32; alpha * g may be infinite,
    // and 0 * infinity would be NaN.
    const Vector t = hn::Max(hn::Min(hn::Mul(alpha, g), Constant(200.0f)),
                             Constant(-200.0f));
    const Vector one = Constant(1.0f);
    const Vector s = Sigmoid(t);
    return KeepNan(g, hn::Mul(s, hn::Add(one, hn::Mul(t, hn::Sub(one, s)))));
  }

  Vector limit;
  Vector alpha;
};

struct ClampedProduct {
  HWY_INLINE void operator()(Vector& gate, Vector& up, Vector&) const {
    gate = hn::Mul(hn::Add(clamp.Up(up), Constant(1.0f)),
                   clamp.Swish(clamp.Gate(gate)));
  }
  Clamp clamp;
};

struct ClampedProductBackward {
  HWY_INLINE void operator()(Vector& gate, Vector& up, Vector& grad) const {
    const Vector g = clamp.Gate(gate);
    const Vector up_plus_1 = hn::Add(clamp.Up(up), Constant(1.0f));
    const Vector swish = clamp.Swish(g);
    const auto gate_clamped = hn::Gt(gate, clamp.limit);
    const auto up_clamped = hn::Gt(hn::Abs(up), clamp.limit);
    gate = hn::IfThenZeroElse(
        gate_clamped,
        hn::Mul(hn::Mul(grad, clamp.SwishDerivative(g)), up_plus_1));
    up = hn::IfThenZeroElse(up_clamped, hn::Mul(grad, swish));
    grad = hn::Mul(up_plus_1, swish);
  }
  Clamp clamp;
};

template <template <typename> typename Pass>
void Run(Activation activation, size_t size, const Inputs& in,
         const Outputs& out) {
  switch (activation) {
    case Activation::kRelu:
      return ForEachVector(size, in, out, Pass<Relu>());
    case Activation::kGelu:
      return ForEachVector(size, in, out, Pass<Gelu>());
    case Activation::kGeluTanh:
      return ForEachVector(size, in, out, Pass<GeluTanh>());
    case Activation::kSilu:
      return ForEachVector(size, in, out, Pass<Silu>());
  }
}

void RunForward(const GatedExpertSpec& spec, size_t size, const float* gate,
                const float* up, float* h) {
  const Inputs in = {{gate, up}};
  const Outputs out = {{h}};
  if (spec.clamp.has_value()) {
    return ForEachVector(size, in, out, ClampedProduct{Clamp(*spec.clamp)});
  }
  Run<Product>(spec.activation, size, in, out);
}

void RunBackward(const GatedExpertSpec& spec, size_t size, float* gate,
                 float* up, float* grad) {
  const Inputs in = {{gate, up, grad}};
  const Outputs out = {{gate, up, grad}};
  if (spec.clamp.has_value()) {
    return ForEachVector(size, in, out,
                         ClampedProductBackward{Clamp(*spec.clamp)});
  }
  Run<ProductBackward>(spec.activation, size, in, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace switchyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace switchyard {
namespace {

HWY_EXPORT(RunForward);
HWY_EXPORT(RunBackward);

}  // namespace

void GatedProduct(const GatedExpertSpec& spec, absl::Span<const float> gate,
                  absl::Span<const float> up, float* out) {
  HWY_DYNAMIC_DISPATCH(RunForward)
  (spec, gate.size(), gate.data(), up.data(), out);
}

void GatedProductBackward(const GatedExpertSpec& spec, absl::Span<float> gate,
                          absl::Span<float> up, float* grad) {
  HWY_DYNAMIC_DISPATCH(RunBackward)
  (spec, gate.size(), gate.data(), up.data(), grad);
}

}  // namespace switchyard

#endif  // HWY_ONCE
