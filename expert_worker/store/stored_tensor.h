#ifndef SWITCHYARD_EXPERT_WORKER_STORE_STORED_TENSOR_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_STORED_TENSOR_H_

#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "common/tensor/dtype.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// A parameter in the dtype in which it is stored, and in no more memory than
// that takes. What goes in is rounded to it, to nearest, ties to even, beyond
// its range to infinity; what comes out is float32 and exact. Movable, not
// copyable. Thread-compatible.
class StoredTensor {
 public:
  // Elements of `values`, rounded. A float32 one takes the memory over.
  StoredTensor(Tensor values, DType dtype);

  DType dtype() const { return dtype_; }
  int64_t num_elements() const { return num_rows_ * num_cols_; }
  int64_t size_bytes() const { return num_elements() * SizeOf(dtype_); }

  // Elements [offset, offset + elements.size()), which are all inside.
  void Read(int64_t offset, absl::Span<float> elements) const;
  void Write(int64_t offset, absl::Span<const float> elements);

  // The elements themselves, not copied. Only of a float32 one.
  Tensor& floats() { return floats_; }

  // All elements, as a matrix: those of a float32 one where they are, others
  // widened to `scratch`, which has num_elements.
  ConstMatrix Widened(absl::Span<float> scratch) const;

 private:
  char* At(int64_t offset) const { return narrow_.get() + 2 * offset; }

  DType dtype_;
  int64_t num_rows_;
  int64_t num_cols_;
  // One of them is empty.
  Tensor floats_;
  std::unique_ptr<char[]> narrow_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_STORED_TENSOR_H_
