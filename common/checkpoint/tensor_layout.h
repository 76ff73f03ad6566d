// Where a family's checkpoints keep a layer's parameters: the tensor's name and
// shape, and which of its elements are the parameter. Sources: the names that
// save_pretrained of Hugging Face transformers writes (conversion_mapping.py,
// modeling_*.py of 5.23). Pure functions of the layer's description.
#ifndef SWITCHYARD_COMMON_CHECKPOINT_TENSOR_LAYOUT_H_
#define SWITCHYARD_COMMON_CHECKPOINT_TENSOR_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/layer_spec.h"
#include "common/model/parameters.h"
#include "common/tensor/dtype.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// A parameter as part of a tensor: its element (i, j), as a matrix of num_cols
// columns, is the tensor's element offset + i * row_stride + j * col_stride.
struct TensorSlice {
  std::string tensor;
  Shape tensor_shape;
  int64_t num_cols = 1;
  int64_t offset = 0;
  int64_t row_stride = 1;
  int64_t col_stride = 1;

  // Whether the parameter lies in one piece.
  bool contiguous() const { return col_stride == 1 && row_stride == num_cols; }
  // The tensor's element for the parameter's `idx`-th.
  int64_t ElementOf(int64_t idx) const {
    return offset + idx / num_cols * row_stride + idx % num_cols * col_stride;
  }
};

// FAILED_PRECONDITION for a layer without origin; INVALID_ARGUMENT, naming the
// family, if its checkpoints have no such parameter.
absl::StatusOr<TensorSlice> SliceOf(const LayerSpec& spec,
                                    const ParameterSpec& parameter);

struct TensorPart {
  ParameterSpec parameter;
  TensorSlice slice;
};

// A tensor of a layer with all parameters that make it up.
struct TensorPlan {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;
  std::vector<TensorPart> parts;
};

// Every tensor that the layer has in a checkpoint, in order of its parameters.
absl::StatusOr<std::vector<TensorPlan>> TensorsOf(const LayerSpec& spec);

// Between a parameter's elements from `first` on and the bytes of the whole
// tensor, whose elements are of `dtype`.
void ReadSlice(const TensorSlice& slice, DType dtype, const char* tensor_bytes,
               int64_t first, absl::Span<float> values);
void WriteSlice(const TensorSlice& slice, DType dtype, int64_t first,
                absl::Span<const float> values, char* tensor_bytes);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CHECKPOINT_TENSOR_LAYOUT_H_
