#include "expert_worker/store/stored_tensor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "common/tensor/float_formats.h"

namespace switchyard {
namespace {

// Elements that are converted at a time.
constexpr size_t kPieceElements = 256;

DType StoredDType(const ParameterLayout& layout, DType dtype) {
  return layout.in_panels() ? dtype : DType::kFloat32;
}

// Floats whose memory has room for all elements.
int64_t MemoryFloats(const ParameterLayout& layout, DType dtype) {
  constexpr int64_t kFloatBytes = sizeof(float);
  return (layout.num_stored() * SizeOf(StoredDType(layout, dtype)) +
          kFloatBytes - 1) /
         kFloatBytes;
}

// Copies `count` elements of kBytes each that are `stride` elements apart.
template <size_t kBytes>
void Gather(const char* from, int64_t stride, size_t count, char* to) {
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(to + i * kBytes, from, kBytes);
    from += stride * static_cast<int64_t>(kBytes);
  }
}
template <size_t kBytes>
void Scatter(const char* from, size_t count, int64_t stride, char* to) {
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(to, from + i * kBytes, kBytes);
    to += stride * static_cast<int64_t>(kBytes);
  }
}

// Rounds a vector's elements, which stay float32, to its dtype.
void Round(DType dtype, absl::Span<float> elements) {
  std::array<char, kPieceElements * sizeof(float)> narrow;
  for (size_t i = 0; i < elements.size(); i += kPieceElements) {
    const absl::Span<float> piece = elements.subspan(i, kPieceElements);
    Narrow(piece, dtype, narrow.data());
    Widen(narrow.data(), dtype, piece);
  }
}

}  // namespace

StoredTensor::StoredTensor(const Shape& shape, DType dtype)
    : dtype_(dtype),
      layout_(shape),
      memory_(Tensor::Zeros({MemoryFloats(layout_, dtype)})),
      row_scales_(dtype == DType::kInt8
                      ? static_cast<size_t>(layout_.num_outputs())
                      : 0) {}

int64_t StoredTensor::SizeBytes(const Shape& shape, DType dtype) {
  const ParameterLayout layout(shape);
  const int64_t num_scales = dtype == DType::kInt8 ? layout.num_outputs() : 0;
  return (MemoryFloats(layout, dtype) + num_scales) *
         static_cast<int64_t>(sizeof(float));
}

char* StoredTensor::At(int64_t stored_idx) {
  return reinterpret_cast<char*>(memory_.data()) +
         stored_idx * SizeOf(stored_dtype());
}
const char* StoredTensor::At(int64_t stored_idx) const {
  return reinterpret_cast<const char*>(memory_.data()) +
         stored_idx * SizeOf(stored_dtype());
}

void StoredTensor::ReadRun(int64_t stored_idx, int64_t stride,
                           absl::Span<float> elements) const {
  std::array<char, kPieceElements * sizeof(float)> piece;
  for (size_t i = 0; i < elements.size(); i += kPieceElements) {
    const absl::Span<float> to = elements.subspan(i, kPieceElements);
    const char* from = At(stored_idx + static_cast<int64_t>(i) * stride);
    switch (SizeOf(stored_dtype())) {
      case 4:
        Gather<4>(from, stride, to.size(), piece.data());
        break;
      case 2:
        Gather<2>(from, stride, to.size(), piece.data());
        break;
      default:
        Gather<1>(from, stride, to.size(), piece.data());
    }
    Widen(piece.data(), stored_dtype(), to);
  }
}

void StoredTensor::WriteRun(int64_t stored_idx, int64_t stride,
                            absl::Span<const float> elements) {
  std::array<char, kPieceElements * sizeof(float)> piece;
  for (size_t i = 0; i < elements.size(); i += kPieceElements) {
    const absl::Span<const float> from = elements.subspan(i, kPieceElements);
    Narrow(from, stored_dtype(), piece.data());
    char* to = At(stored_idx + static_cast<int64_t>(i) * stride);
    switch (SizeOf(stored_dtype())) {
      case 4:
        Scatter<4>(piece.data(), from.size(), stride, to);
        break;
      case 2:
        Scatter<2>(piece.data(), from.size(), stride, to);
        break;
      default:
        Scatter<1>(piece.data(), from.size(), stride, to);
    }
  }
}

void StoredTensor::WriteScaledRow(int64_t stored_idx, int64_t row,
                                  absl::Span<const float> elements) {
  float largest = 0;
  for (const float value : elements) {
    largest = std::max(largest, std::abs(value));
  }
  const float scale = largest / 127.0f;
  row_scales_[static_cast<size_t>(row)] = scale;
  std::array<float, kPieceElements> steps;
  for (size_t i = 0; i < elements.size(); i += kPieceElements) {
    const absl::Span<const float> from = elements.subspan(i, kPieceElements);
    for (size_t j = 0; j < from.size(); ++j) {
      steps[j] = scale == 0.0f ? 0.0f : from[j] / scale;
    }
    WriteRun(stored_idx + static_cast<int64_t>(i) * kPanelWidth, kPanelWidth,
             absl::MakeConstSpan(steps.data(), from.size()));
  }
}

void StoredTensor::Read(int64_t offset, absl::Span<float> elements) const {
  layout_.ForEachRun(
      offset, static_cast<int64_t>(elements.size()),
      [&](int64_t done, int64_t stored_idx, int64_t stride, int64_t n) {
        const absl::Span<float> run =
            elements.subspan(static_cast<size_t>(done), static_cast<size_t>(n));
        ReadRun(stored_idx, stride, run);
        if (dtype_ != DType::kInt8) return;
        const int64_t row = (offset + done) / layout_.num_inputs();
        const float scale = row_scales_[static_cast<size_t>(row)];
        for (float& value : run) value *= scale;
      });
}

void StoredTensor::Write(int64_t offset, absl::Span<const float> elements) {
  layout_.ForEachRun(
      offset, static_cast<int64_t>(elements.size()),
      [&](int64_t done, int64_t stored_idx, int64_t stride, int64_t n) {
        const absl::Span<const float> run =
            elements.subspan(static_cast<size_t>(done), static_cast<size_t>(n));
        if (dtype_ == DType::kInt8) {
          return WriteScaledRow(stored_idx,
                                (offset + done) / layout_.num_inputs(), run);
        }
        WriteRun(stored_idx, stride, run);
      });
  if (layout_.in_panels()) return;
  Round(dtype_,
        memory_.values().subspan(static_cast<size_t>(offset), elements.size()));
}

void StoredTensor::ReadStored(int64_t begin, absl::Span<float> elements) const {
  Widen(At(begin), stored_dtype(), elements);
}

void StoredTensor::WriteStored(int64_t begin,
                               absl::Span<const float> elements) {
  Narrow(elements, stored_dtype(), At(begin));
  if (layout_.in_panels()) return;
  Round(dtype_,
        memory_.values().subspan(static_cast<size_t>(begin), elements.size()));
}

PanelWeight StoredTensor::weight() const {
  return {.data = memory_.data(),
          .dtype = dtype_,
          .num_outputs = layout_.num_outputs(),
          .num_inputs = layout_.num_inputs(),
          .output_scales = row_scales_.empty() ? nullptr : row_scales_.data()};
}

}  // namespace switchyard
