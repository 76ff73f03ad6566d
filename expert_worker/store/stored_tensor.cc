#include "expert_worker/store/stored_tensor.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/tensor/float_formats.h"

namespace switchyard {

StoredTensor::StoredTensor(Tensor values, DType dtype)
    : dtype_(dtype), num_rows_(values.rows()), num_cols_(values.cols()) {
  if (dtype == DType::kFloat32) {
    floats_ = std::move(values);
    return;
  }
  narrow_.reset(new char[static_cast<size_t>(size_bytes())]);
  Narrow(values.values(), dtype_, narrow_.get());
}

void StoredTensor::Read(int64_t offset, absl::Span<float> elements) const {
  if (dtype_ == DType::kFloat32) {
    std::copy_n(floats_.data() + offset, elements.size(), elements.data());
    return;
  }
  Widen(At(offset), dtype_, elements);
}

void StoredTensor::Write(int64_t offset, absl::Span<const float> elements) {
  if (dtype_ == DType::kFloat32) {
    std::copy_n(elements.data(), elements.size(), floats_.data() + offset);
    return;
  }
  Narrow(elements, dtype_, At(offset));
}

ConstMatrix StoredTensor::Widened(absl::Span<float> scratch) const {
  if (dtype_ == DType::kFloat32) {
    return ConstMatrix(floats_.data(), num_rows_, num_cols_);
  }
  Widen(narrow_.get(), dtype_, scratch);
  return ConstMatrix(scratch.data(), num_rows_, num_cols_);
}

}  // namespace switchyard
