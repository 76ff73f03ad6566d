#include "expert_worker/compute/cpu/activation.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "expert_worker/compute/cpu/activation.cc"
#include <hwy/foreach_target.h>

#include "expert_worker/compute/cpu/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard {
namespace HWY_NAMESPACE {
namespace {

template <typename Function>
struct Forward {
  HWY_INLINE void operator()(Vector& x, Vector&, Vector&) const {
    x = Function::Value(x);
  }
};

template <typename Function>
struct Backward {
  HWY_INLINE void operator()(Vector& x, Vector& grad, Vector&) const {
    Vector derivative;
    const Vector y = Function::Both(x, &derivative);
    x = hn::Mul(grad, derivative);
    grad = y;
  }
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

void RunForward(Activation activation, size_t size, const float* x, float* y) {
  Run<Forward>(activation, size, {{x}}, {{y}});
}
void RunBackward(Activation activation, size_t size, float* x, float* grad) {
  Run<Backward>(activation, size, {{x, grad}}, {{x, grad}});
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

void Activate(Activation activation, absl::Span<const float> pre, float* out) {
  HWY_DYNAMIC_DISPATCH(RunForward)(activation, pre.size(), pre.data(), out);
}

void ActivateBackward(Activation activation, absl::Span<float> pre,
                      float* grad) {
  HWY_DYNAMIC_DISPATCH(RunBackward)(activation, pre.size(), pre.data(), grad);
}

}  // namespace switchyard

#endif  // HWY_ONCE
