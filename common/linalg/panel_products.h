// The three matrix products of a linear map y = x W^T, forward and backward,
// with W in panels (panel_layout.h). Each computes a range of its result, so
// that a product can be cut into tasks; cuts, the number of rows that are
// multiplied together and the number of threads show in no bit of a result:
// every element is one chain of fused multiply-adds (see panel_kernels.h) by
// rising index of what is summed over.
//
// Matrices are row-major and contiguous, x [rows, inputs], y [rows, outputs].
// Nothing is allocated. Thread-safe on disjoint results and scratch.
#ifndef SWITCHYARD_COMMON_LINALG_PANEL_PRODUCTS_H_
#define SWITCHYARD_COMMON_LINALG_PANEL_PRODUCTS_H_

#include <cstdint>

#include "common/linalg/panel_layout.h"
#include "common/tensor/dtype.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// A weight [num_outputs, num_inputs] in panels, somebody else's. `data` has
// PanelElements elements, aligned to 64 bytes.
struct PanelWeight {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t num_outputs = 0;
  int64_t num_inputs = 0;
  // [num_outputs], of int8 weights only: the value of a step of 1.
  const float* output_scales = nullptr;
};

// Panels of outputs, or blocks of kPanelWidth inputs.
struct PanelRange {
  int64_t first = 0;
  int64_t count = 0;
};

// Working memory of one product. Unit: floats, aligned to 64 bytes.
inline constexpr int64_t kProductScratchFloats = 192 * 512 + 2 * 512 * 32;

// The range's columns of y = x W^T, or where `accumulate`, which is not for
// int8, of y += x W^T.
void MultiplyPanels(ConstMatrix x, const PanelWeight& weight, PanelRange panels,
                    bool accumulate, float* y, float* scratch);

// The range's columns of grad_x = grad_y W, or where `accumulate` of
// grad_x += grad_y W. Not for int8.
void MultiplyTransposed(ConstMatrix grad_y, const PanelWeight& weight,
                        PanelRange input_blocks, bool accumulate, float* grad_x,
                        float* scratch);

// The range's panels of gradient = grad_y^T x, or where `accumulate` of
// gradient += grad_y^T x. `gradient` is in float32 and in panels, as the
// weight.
void WeightGradient(ConstMatrix grad_y, ConstMatrix x, PanelRange panels,
                    bool accumulate, float* gradient, float* scratch);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_LINALG_PANEL_PRODUCTS_H_
