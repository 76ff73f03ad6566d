#include "common/linalg/panel_kernels.h"

#include <algorithm>
#include <cstddef>

#include "common/linalg/panel_layout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/linalg/panel_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace switchyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: a panel is two such vectors.
using FloatVector = hn::CappedTag<float, 16>;
using Vector = hn::Vec<FloatVector>;
constexpr FloatVector kFloats;
HWY_INLINE int64_t NumLanes() {
  return static_cast<int64_t>(hn::Lanes(kFloats));
}

// Accumulators are 2 vectors wide; so many rows of them leave registers for the
// operands: 32 registers with AVX-512, 16 without.
constexpr int kRowsAtOnce = HWY_MAX_BYTES >= 64 ? 12 : 6;

// For so few rows reading b is the cost. Measured: without the hint int8
// reaches 2.4 and 1.9 times the rate of float32 for 1 and 4 rows, with it 3.0
// and 2.7; 1 KiB ahead is too late, 4 KiB no better (bench_compute).
constexpr int kBandwidthBoundRows = 4;
constexpr int64_t kPrefetchBytes = 2048;

HWY_INLINE Vector LoadWide(const float* p) { return hn::Load(kFloats, p); }
HWY_INLINE Vector LoadWide(const hwy::bfloat16_t* p) {
  const hn::Rebind<hwy::bfloat16_t, FloatVector> narrow;
  return hn::PromoteTo(kFloats, hn::LoadU(narrow, p));
}
HWY_INLINE Vector LoadWide(const hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, FloatVector> narrow;
  return hn::PromoteTo(kFloats, hn::LoadU(narrow, p));
}
HWY_INLINE Vector LoadWide(const int8_t* p) {
  const hn::Rebind<int8_t, FloatVector> narrow;
  const hn::Rebind<int32_t, FloatVector> integers;
  return hn::ConvertTo(kFloats, hn::PromoteTo(integers, hn::LoadU(narrow, p)));
}

template <size_t kBytes>
HWY_INLINE void PrefetchLines(const char* begin) {
  for (size_t i = 0; i < kBytes; i += 64) __builtin_prefetch(begin + i);
}

// Two vectors of columns of kRows rows.
template <int kRows, typename Element>
HWY_INLINE void MultiplyColumns(int64_t depth, const float* HWY_RESTRICT a,
                                const Element* HWY_RESTRICT b,
                                float* HWY_RESTRICT c, int64_t c_stride,
                                bool accumulate) {
  const int64_t lanes = NumLanes();
  Vector left[kRows];
  Vector right[kRows];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
    left[i] =
        accumulate ? hn::LoadU(kFloats, c + i * c_stride) : hn::Zero(kFloats);
    right[i] = accumulate ? hn::LoadU(kFloats, c + i * c_stride + lanes)
                          : hn::Zero(kFloats);
  }
  for (int64_t k = 0; k < depth; ++k) {
    if constexpr (kRows <= kBandwidthBoundRows) {
      PrefetchLines<kPanelWidth * sizeof(Element)>(
          reinterpret_cast<const char*>(b + k * kPanelWidth) + kPrefetchBytes);
    }
    const Vector b_left = LoadWide(b + k * kPanelWidth);
    const Vector b_right = LoadWide(b + k * kPanelWidth + lanes);
    const float* a_k = a + k * kTileRows;
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const Vector a_ik = hn::Set(kFloats, a_k[i]);
      left[i] = hn::MulAdd(a_ik, b_left, left[i]);
      right[i] = hn::MulAdd(a_ik, b_right, right[i]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
    hn::StoreU(left[i], kFloats, c + i * c_stride);
    hn::StoreU(right[i], kFloats, c + i * c_stride + lanes);
  }
}

template <int kRows, typename Element>
void MultiplyRows(int64_t depth, const float* a, const Element* b, float* c,
                  int64_t c_stride, bool accumulate) {
  for (int64_t column = 0; column < kPanelWidth; column += 2 * NumLanes()) {
    MultiplyColumns<kRows>(depth, a, b + column, c + column, c_stride,
                           accumulate);
  }
}

template <int kRows, typename Element>
void MultiplyAtMost(int64_t num_rows, int64_t depth, const float* a,
                    const Element* b, float* c, int64_t c_stride,
                    bool accumulate) {
  if constexpr (kRows > 0) {
    if (num_rows == kRows) {
      return MultiplyRows<kRows>(depth, a, b, c, c_stride, accumulate);
    }
    MultiplyAtMost<kRows - 1>(num_rows, depth, a, b, c, c_stride, accumulate);
  }
}

template <typename Element>
void Multiply(int64_t num_rows, int64_t depth, const float* a,
              const void* elements, float* c, int64_t c_stride,
              bool accumulate) {
  const Element* b = static_cast<const Element*>(elements);
  for (int64_t row = 0; row < num_rows; row += kRowsAtOnce) {
    MultiplyAtMost<kRowsAtOnce>(std::min<int64_t>(kRowsAtOnce, num_rows - row),
                                depth, a + row, b, c + row * c_stride, c_stride,
                                accumulate);
  }
}

void MultiplyFloat32(int64_t num_rows, int64_t depth, const float* a,
                     const void* b, float* c, int64_t c_stride,
                     bool accumulate) {
  Multiply<float>(num_rows, depth, a, b, c, c_stride, accumulate);
}
void MultiplyBFloat16(int64_t num_rows, int64_t depth, const float* a,
                      const void* b, float* c, int64_t c_stride,
                      bool accumulate) {
  Multiply<hwy::bfloat16_t>(num_rows, depth, a, b, c, c_stride, accumulate);
}
void MultiplyFloat16(int64_t num_rows, int64_t depth, const float* a,
                     const void* b, float* c, int64_t c_stride,
                     bool accumulate) {
  Multiply<hwy::float16_t>(num_rows, depth, a, b, c, c_stride, accumulate);
}
void MultiplyInt8(int64_t num_rows, int64_t depth, const float* a,
                  const void* b, float* c, int64_t c_stride, bool accumulate) {
  Multiply<int8_t>(num_rows, depth, a, b, c, c_stride, accumulate);
}

// A 4 x 4 block: rows of `in` become columns of `out`.
#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void Transpose4x4(const float* HWY_RESTRICT in, int64_t in_stride,
                             float* HWY_RESTRICT out, int64_t out_stride) {
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 4; ++j) {
      out[j * out_stride + i] = in[i * in_stride + j];
    }
  }
}
#else
HWY_INLINE void Transpose4x4(const float* HWY_RESTRICT in, int64_t in_stride,
                             float* HWY_RESTRICT out, int64_t out_stride) {
  const hn::Full128<float> d;
  const hn::Full128<double> pairs;
  const auto r0 = hn::LoadU(d, in);
  const auto r1 = hn::LoadU(d, in + in_stride);
  const auto r2 = hn::LoadU(d, in + 2 * in_stride);
  const auto r3 = hn::LoadU(d, in + 3 * in_stride);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d,
             out + out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d,
             out + 2 * out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d,
             out + 3 * out_stride);
}
#endif

// [num_rows, num_columns] becomes [num_columns, num_rows].
void Transpose(const float* in, int64_t in_stride, int64_t num_rows,
               int64_t num_columns, float* out, int64_t out_stride) {
  int64_t row = 0;
  for (; row + 4 <= num_rows; row += 4) {
    const float* in_row = in + row * in_stride;
    int64_t column = 0;
    for (; column + 4 <= num_columns; column += 4) {
      Transpose4x4(in_row + column, in_stride, out + column * out_stride + row,
                   out_stride);
    }
    for (; column < num_columns; ++column) {
      for (int64_t i = 0; i < 4; ++i) {
        out[column * out_stride + row + i] = in_row[i * in_stride + column];
      }
    }
  }
  for (; row < num_rows; ++row) {
    for (int64_t column = 0; column < num_columns; ++column) {
      out[column * out_stride + row] = in[row * in_stride + column];
    }
  }
}

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace switchyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace switchyard {
namespace {

HWY_EXPORT(MultiplyFloat32);
HWY_EXPORT(MultiplyBFloat16);
HWY_EXPORT(MultiplyFloat16);
HWY_EXPORT(MultiplyInt8);
HWY_EXPORT(Transpose);
HWY_EXPORT(TargetName);

}  // namespace

void MultiplyTile(int64_t num_rows, int64_t depth, const float* a,
                  const void* b, DType dtype, float* c, int64_t c_stride,
                  bool accumulate) {
  switch (dtype) {
    case DType::kFloat32:
      return HWY_DYNAMIC_DISPATCH(MultiplyFloat32)(num_rows, depth, a, b, c,
                                                   c_stride, accumulate);
    case DType::kBFloat16:
      return HWY_DYNAMIC_DISPATCH(MultiplyBFloat16)(num_rows, depth, a, b, c,
                                                    c_stride, accumulate);
    case DType::kFloat16:
      return HWY_DYNAMIC_DISPATCH(MultiplyFloat16)(num_rows, depth, a, b, c,
                                                   c_stride, accumulate);
    case DType::kInt8:
      return HWY_DYNAMIC_DISPATCH(MultiplyInt8)(num_rows, depth, a, b, c,
                                                c_stride, accumulate);
  }
}

void PackTile(const float* rows, int64_t row_stride, int64_t num_rows,
              int64_t depth, float* tile) {
  HWY_DYNAMIC_DISPATCH(Transpose)
  (rows, row_stride, num_rows, depth, tile, kTileRows);
}

void PackPanelOfRows(const float* rows, int64_t row_stride, int64_t num_rows,
                     int64_t depth, float* panel) {
  HWY_DYNAMIC_DISPATCH(Transpose)
  (rows, row_stride, num_rows, depth, panel, kPanelWidth);
  if (num_rows == kPanelWidth) return;
  for (int64_t k = 0; k < depth; ++k, panel += kPanelWidth) {
    std::fill(panel + num_rows, panel + kPanelWidth, 0.0f);
  }
}

void TransposeBlock(const float* in, int64_t num_rows, float* out,
                    int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(Transpose)
  (in, kPanelWidth, num_rows, kPanelWidth, out, out_stride);
  if (num_rows == kPanelWidth) return;
  for (int64_t row = 0; row < kPanelWidth; ++row) {
    std::fill(out + row * out_stride + num_rows,
              out + row * out_stride + kPanelWidth, 0.0f);
  }
}

const char* InstructionSetName() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace switchyard

#endif  // HWY_ONCE
