#include "gateway/routing/gate_kernels.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gateway/routing/gate_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// After highway.h, as it says.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace switchyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using FloatVector = hn::CappedTag<float, 16>;
using Vector = hn::Vec<FloatVector>;
constexpr FloatVector kFloats;

// Calls body(values, i) for every vector of the row, i being the index of its
// first element. The last is filled up with the row's first element.
template <typename Body>
HWY_INLINE void ForEachVector(const float* row, size_t size, const Body& body) {
  const size_t lanes = hn::Lanes(kFloats);
  size_t i = 0;
  for (; i + lanes <= size; i += lanes) body(hn::LoadU(kFloats, row + i), i);
  if (i == size) return;
  float tail[16];
  std::fill(std::copy(row + i, row + size, tail), tail + lanes, row[0]);
  body(hn::LoadU(kFloats, tail), i);
}

HWY_INLINE void StoreFirst(Vector values, float* out, size_t i, size_t size) {
  const size_t lanes = hn::Lanes(kFloats);
  if (i + lanes <= size) {
    hn::StoreU(values, kFloats, out + i);
    return;
  }
  float tail[16];
  hn::StoreU(values, kFloats, tail);
  std::copy(tail, tail + (size - i), out + i);
}

HWY_INLINE double SumOf(const float* values, size_t size) {
  double parts[8] = {};
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    for (size_t j = 0; j < 8; ++j) parts[j] += double{values[i + j]};
  }
  for (size_t j = 0; i + j < size; ++j) parts[j] += double{values[i + j]};
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

bool Softmax(const float* logits, size_t size, float* out) {
  Vector max = hn::Set(kFloats, -std::numeric_limits<float>::infinity());
  Vector broken = hn::Zero(kFloats);
  ForEachVector(logits, size, [&](Vector l, size_t) HWY_ATTR {
    max = hn::Max(max, l);
    // NaN where l is NaN or infinite.
    broken = hn::Add(broken, hn::Mul(l, hn::Zero(kFloats)));
  });
  if (!hn::AllTrue(kFloats, hn::Eq(broken, broken))) return false;
  max = hn::MaxOfLanes(kFloats, max);
  ForEachVector(logits, size, [&](Vector l, size_t i) HWY_ATTR {
    StoreFirst(hn::Exp(kFloats, hn::Sub(l, max)), out, i, size);
  });
  const Vector sum = hn::Set(kFloats, static_cast<float>(SumOf(out, size)));
  ForEachVector(out, size, [&](Vector e, size_t i) HWY_ATTR {
    StoreFirst(hn::Div(e, sum), out, i, size);
  });
  return true;
}

// The first index of `key`, which is there.
HWY_INLINE size_t IndexOf(const float* keys, Vector key) {
  for (size_t i = 0;; i += hn::Lanes(kFloats)) {
    const intptr_t lane =
        hn::FindFirstTrue(kFloats, hn::Eq(hn::LoadU(kFloats, keys + i), key));
    if (lane >= 0) return i + static_cast<size_t>(lane);
  }
}

bool Largest(float* keys, size_t size, int32_t k, int32_t* ids) {
  constexpr float kTaken = -std::numeric_limits<float>::infinity();
  const size_t lanes = hn::Lanes(kFloats);
  for (int32_t choice = 0; choice < k; ++choice) {
    Vector max = hn::LoadU(kFloats, keys);
    for (size_t i = lanes; i < size; i += lanes) {
      max = hn::Max(max, hn::LoadU(kFloats, keys + i));
    }
    max = hn::MaxOfLanes(kFloats, max);
    if (hn::GetLane(max) == kTaken) return false;
    const size_t idx = IndexOf(keys, max);
    ids[choice] = static_cast<int32_t>(idx);
    keys[idx] = kTaken;
  }
  return true;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace switchyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace switchyard {
namespace {

HWY_EXPORT(Softmax);
HWY_EXPORT(Largest);

}  // namespace

bool SoftmaxRow(const float* logits, int64_t size, float* out) {
  return HWY_DYNAMIC_DISPATCH(Softmax)(logits, static_cast<size_t>(size), out);
}

bool TakeLargest(float* keys, int64_t size, int32_t k, int32_t* ids) {
  return HWY_DYNAMIC_DISPATCH(Largest)(keys, static_cast<size_t>(size), k, ids);
}

}  // namespace switchyard

#endif  // HWY_ONCE
