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

// Keeps the kMost largest keys of each lane's token, in registers, sorted: a
// key goes before the first that is smaller, and the rest moves on by one.
template <int kMost>
void KeepLargest(const float* keys, size_t num_experts, float* lane_ids,
                 int32_t k) {
  Vector best[kMost];
  Vector ids[kMost];
  for (int j = 0; j < kMost; ++j) {
    best[j] = hn::Set(kFloats, -std::numeric_limits<float>::infinity());
    ids[j] = hn::Set(kFloats, -1.0f);
  }
  for (size_t e = 0; e < num_experts; ++e) {
    Vector key = hn::LoadU(kFloats, keys + e * kTokenBlock);
    Vector id = hn::Set(kFloats, static_cast<float>(e));
    auto moves = hn::Gt(key, best[0]);
    for (int j = 0; j < kMost; ++j) {
      moves = hn::Or(moves, hn::Gt(key, best[j]));
      const Vector next_key = hn::IfThenElse(moves, best[j], key);
      const Vector next_id = hn::IfThenElse(moves, ids[j], id);
      best[j] = hn::IfThenElse(moves, key, best[j]);
      ids[j] = hn::IfThenElse(moves, id, ids[j]);
      key = next_key;
      id = next_id;
    }
  }
  for (int32_t r = 0; r < k; ++r) {
    hn::StoreU(ids[r], kFloats, lane_ids + r * kTokenBlock);
  }
}

void Largest(const float* keys, size_t num_experts, int32_t k, int32_t* ids) {
  float found[kMostTaken * kTokenBlock];
  for (size_t lane = 0; lane < size_t{kTokenBlock};
       lane += hn::Lanes(kFloats)) {
    if (k <= 4) {
      KeepLargest<4>(keys + lane, num_experts, found + lane, k);
    } else if (k <= 8) {
      KeepLargest<8>(keys + lane, num_experts, found + lane, k);
    } else {
      KeepLargest<kMostTaken>(keys + lane, num_experts, found + lane, k);
    }
  }
  for (int64_t token = 0; token < kTokenBlock; ++token) {
    for (int32_t r = 0; r < k; ++r) {
      ids[token * k + r] = static_cast<int32_t>(found[r * kTokenBlock + token]);
    }
  }
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

void TakeLargest(const float* keys, int64_t num_experts, int32_t k,
                 int32_t* ids) {
  HWY_DYNAMIC_DISPATCH(Largest)
  (keys, static_cast<size_t>(num_experts), k, ids);
}

}  // namespace switchyard

#endif  // HWY_ONCE
