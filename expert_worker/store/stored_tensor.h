#ifndef SWITCHYARD_EXPERT_WORKER_STORE_STORED_TENSOR_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_STORED_TENSOR_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/linalg/panel_products.h"
#include "common/tensor/dtype.h"
#include "common/tensor/tensor.h"
#include "expert_worker/store/parameter_layout.h"

namespace switchyard {

// A parameter in the dtype and in the layout in which it is computed with, zero
// at first. What goes in is rounded to the dtype, to nearest, ties to even,
// beyond its range to infinity; what comes out is float32 and exact. A vector
// takes the memory of float32 whatever its dtype. Movable, not copyable.
// Thread-compatible.
//
// int8, of matrices alone, has a scale for each row: the row's largest
// magnitude over 127. So an element is off by 1/254 of that at most.
class StoredTensor {
 public:
  StoredTensor(const Shape& shape, DType dtype);

  // Of one that has that shape and dtype.
  static int64_t SizeBytes(const Shape& shape, DType dtype);

  DType dtype() const { return dtype_; }
  const ParameterLayout& layout() const { return layout_; }
  int64_t size_bytes() const {
    return memory_.size_bytes() +
           static_cast<int64_t>(row_scales_.size() * sizeof(float));
  }

  // Row-major elements [offset, offset + elements.size()), which are all
  // inside. Of int8, whole rows are written.
  void Read(int64_t offset, absl::Span<float> elements) const;
  void Write(int64_t offset, absl::Span<const float> elements);

  // The same by position in memory, for what treats all elements alike. Not of
  // int8.
  void ReadStored(int64_t begin, absl::Span<float> elements) const;
  void WriteStored(int64_t begin, absl::Span<const float> elements);

  // The memory itself. Only of a float32 one.
  Tensor& floats() { return memory_; }

  // A matrix, to compute with.
  PanelWeight weight() const;
  // A vector, to compute with.
  const float* vector() const { return memory_.data(); }

 private:
  // How elements lie in memory: float32 for vectors, else dtype_.
  DType stored_dtype() const {
    return layout_.in_panels() ? dtype_ : DType::kFloat32;
  }
  char* At(int64_t stored_idx);
  const char* At(int64_t stored_idx) const;
  void WriteRun(int64_t stored_idx, int64_t stride,
                absl::Span<const float> elements);
  void ReadRun(int64_t stored_idx, int64_t stride,
               absl::Span<float> elements) const;
  // Sets the scale of an int8 row.
  void WriteScaledRow(int64_t stored_idx, int64_t row,
                      absl::Span<const float> elements);

  DType dtype_;
  ParameterLayout layout_;
  // Bytes of whatever dtype, for their alignment.
  Tensor memory_;
  std::vector<float> row_scales_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_STORED_TENSOR_H_
