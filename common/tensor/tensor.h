#ifndef SWITCHYARD_COMMON_TENSOR_TENSOR_H_
#define SWITCHYARD_COMMON_TENSOR_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace switchyard {

// Extents, outermost first. Empty: a scalar.
using Shape = absl::InlinedVector<int64_t, 4>;

// Number of elements. INVALID_ARGUMENT, naming `field`, for a negative extent
// or a product over 2^40.
absl::StatusOr<int64_t> NumElements(absl::Span<const int64_t> shape,
                                    absl::string_view field);

// "[2, 3]".
std::string ShapeToString(absl::Span<const int64_t> shape);

// A dense, row-major float32 tensor, aligned to 64 bytes. It owns its memory,
// alone unless Share was called. Movable, not copyable (Clone and Share say it
// aloud). Thread-compatible.
class Tensor {
 public:
  // An empty tensor of shape [0].
  Tensor() : Tensor(Shape{0}, /*zero=*/false) {}

  // The shape must have passed NumElements.
  static Tensor Zeros(const Shape& shape) { return Tensor(shape, true); }
  static Tensor Uninitialized(const Shape& shape) {
    return Tensor(shape, false);
  }
  // `values` must have as many elements as the shape.
  static Tensor FromSpan(const Shape& shape, absl::Span<const float> values);

  // Around memory from elsewhere, of as many elements as the shape has and
  // aligned to 64 bytes, which `data` keeps. Others may be writing to it.
  static Tensor Around(const Shape& shape, std::shared_ptr<float[]> data);

  Tensor(Tensor&&) = default;
  Tensor& operator=(Tensor&&) = default;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  Tensor Clone() const { return FromSpan(shape_, values()); }
  // A second owner of the same memory, which neither may write to from now on.
  Tensor Share() const { return Tensor(shape_, num_elements_, data_); }

  const Shape& shape() const { return shape_; }
  int64_t num_elements() const { return num_elements_; }
  int64_t size_bytes() const {
    return num_elements_ * static_cast<int64_t>(sizeof(float));
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  absl::Span<float> values() {
    return absl::MakeSpan(data_.get(), static_cast<size_t>(num_elements_));
  }
  absl::Span<const float> values() const {
    return absl::MakeConstSpan(data_.get(), static_cast<size_t>(num_elements_));
  }

  // The tensor as a matrix [rows, cols]: the last extent is cols, all others
  // together are rows.
  int64_t cols() const { return shape_.empty() ? 1 : shape_.back(); }
  int64_t rows() const { return cols() == 0 ? 0 : num_elements_ / cols(); }
  float* row(int64_t idx) { return data_.get() + idx * cols(); }
  const float* row(int64_t idx) const { return data_.get() + idx * cols(); }

  // Same elements under another shape of as many elements.
  void Reshape(const Shape& shape);

 private:
  Tensor(const Shape& shape, bool zero);
  Tensor(const Shape& shape, int64_t num_elements,
         std::shared_ptr<float[]> data)
      : shape_(shape), num_elements_(num_elements), data_(std::move(data)) {}

  Shape shape_;
  int64_t num_elements_;
  std::shared_ptr<float[]> data_;
};

// Memory that a caller offers for a tensor of its answer; none by default.
struct TensorPlace {
  std::shared_ptr<float[]> data;
  // Unit: elements.
  int64_t capacity = 0;

  // There where it fits, in memory of its own otherwise.
  Tensor Uninitialized(const Shape& shape) const;
};

// A matrix somebody else owns: [num_rows, num_cols], row-major, contiguous.
struct ConstMatrix {
  const float* data = nullptr;
  int64_t num_rows = 0;
  int64_t num_cols = 0;

  ConstMatrix() = default;
  ConstMatrix(const float* d, int64_t rows, int64_t cols)
      : data(d), num_rows(rows), num_cols(cols) {}
  // A tensor as a matrix, see Tensor::rows.
  ConstMatrix(const Tensor& t)  // NOLINT(google-explicit-constructor)
      : data(t.data()), num_rows(t.rows()), num_cols(t.cols()) {}

  const float* row(int64_t idx) const { return data + idx * num_cols; }
  int64_t num_elements() const { return num_rows * num_cols; }
};

// First index whose value is NaN or infinite, or -1.
int64_t FirstNonFinite(absl::Span<const float> values);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_TENSOR_TENSOR_H_
