#include "common/optimizer/adam_kernel.h"

#include <cmath>
#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/optimizer/adam_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace switchyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// One vector of `d`, which may be of one lane.
template <typename D>
HWY_INLINE void UpdateVector(D d, const AdamCoefficients& c, const float* g,
                             float* p, float* m, float* s) {
  const auto value = hn::LoadU(d, p);
  const auto gradient =
      hn::Add(hn::LoadU(d, g), hn::Mul(hn::Set(d, c.l2_decay), value));
  const auto first = hn::Add(hn::Mul(hn::Set(d, c.beta1), hn::LoadU(d, m)),
                             hn::Mul(hn::Set(d, 1.0f - c.beta1), gradient));
  const auto second =
      hn::Add(hn::Mul(hn::Set(d, c.beta2), hn::LoadU(d, s)),
              hn::Mul(hn::Mul(hn::Set(d, 1.0f - c.beta2), gradient), gradient));
  const auto denominator =
      hn::Add(hn::Div(hn::Sqrt(second), hn::Set(d, c.root_correction2)),
              hn::Set(d, c.epsilon));
  hn::StoreU(first, d, m);
  hn::StoreU(second, d, s);
  hn::StoreU(
      hn::Sub(hn::Mul(value, hn::Set(d, c.shrink)),
              hn::Div(hn::Mul(hn::Set(d, c.step_size), first), denominator)),
      d, p);
}

void Update(const AdamCoefficients& c, int64_t num_elements, const float* g,
            float* p, float* m, float* s) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= num_elements; i += lanes) {
    UpdateVector(d, c, g + i, p + i, m + i, s + i);
  }
  const hn::CappedTag<float, 1> one;
  for (; i < num_elements; ++i) {
    UpdateVector(one, c, g + i, p + i, m + i, s + i);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace switchyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace switchyard {
namespace {

HWY_EXPORT(Update);

}  // namespace

void ApplyAdam(const AdamCoefficients& coefficients, int64_t num_elements,
               const float* gradient, float* value, float* first_moment,
               float* second_moment) {
  HWY_DYNAMIC_DISPATCH(Update)
  (coefficients, num_elements, gradient, value, first_moment, second_moment);
}

}  // namespace switchyard

#endif  // HWY_ONCE
