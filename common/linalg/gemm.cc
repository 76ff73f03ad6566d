#include "common/linalg/gemm.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "common/linalg/panel_kernels.h"
#include "common/linalg/panel_products.h"

namespace switchyard {
namespace {

// b [n, k] as a weight in panels.
Tensor PanelsOfRows(ConstMatrix b) {
  Tensor panels =
      Tensor::Uninitialized({PanelElements(b.num_rows, b.num_cols)});
  for (int64_t row = 0; row < b.num_rows; row += kPanelWidth) {
    float* panel = panels.data() + row * b.num_cols;
    const int64_t num_rows = std::min(kPanelWidth, b.num_rows - row);
    PackPanelOfRows(b.row(row), b.num_cols, num_rows, b.num_cols, panel);
  }
  return panels;
}

// b [k, n], transposed, as a weight in panels.
Tensor PanelsOfColumns(ConstMatrix b) {
  Tensor panels = Tensor::Zeros({PanelElements(b.num_cols, b.num_rows)});
  for (int64_t column = 0; column < b.num_cols; column += kPanelWidth) {
    float* panel = panels.data() + column * b.num_rows;
    const int64_t num_columns = std::min(kPanelWidth, b.num_cols - column);
    for (int64_t row = 0; row < b.num_rows; ++row) {
      std::copy_n(b.row(row) + column, num_columns, panel + row * kPanelWidth);
    }
  }
  return panels;
}

void Multiply(ConstMatrix a, const float* panels, int64_t num_outputs,
              Accumulate accumulate, float* c) {
  Tensor scratch = Tensor::Uninitialized({kProductScratchFloats});
  MultiplyPanels(
      a, {.data = panels, .num_outputs = num_outputs, .num_inputs = a.num_cols},
      {0, NumPanels(num_outputs)}, accumulate == Accumulate::kAdd, c,
      scratch.data());
}

}  // namespace

PackedMatrix::PackedMatrix(ConstMatrix b)
    : num_rows_(b.num_rows), num_cols_(b.num_cols), panels_(PanelsOfRows(b)) {}

void GemmNT(ConstMatrix a, ConstMatrix b, float* c, Accumulate accumulate) {
  GemmNT(a, PackedMatrix(b), c, accumulate);
}

void GemmNT(ConstMatrix a, const PackedMatrix& b, float* c,
            Accumulate accumulate) {
  Multiply(a, b.panels(), b.num_rows(), accumulate, c);
}

void GemmNN(ConstMatrix a, ConstMatrix b, float* c, Accumulate accumulate) {
  Multiply(a, PanelsOfColumns(b).data(), b.num_cols, accumulate, c);
}

void GemmTN(ConstMatrix a, ConstMatrix b, float* c, Accumulate accumulate) {
  const int64_t m = a.num_cols;
  const int64_t n = b.num_cols;
  Tensor panels = Tensor::Uninitialized({PanelElements(m, n)});
  Tensor scratch = Tensor::Uninitialized({kProductScratchFloats});
  WeightGradient(a, b, {0, NumPanels(m)}, /*accumulate=*/false, panels.data(),
                 scratch.data());
  for (int64_t i = 0; i < m; ++i) {
    const float* product = panels.data() + PanelIndex(i * n, n);
    float* c_row = c + i * n;
    for (int64_t j = 0; j < n; ++j, product += kPanelWidth) {
      c_row[j] =
          accumulate == Accumulate::kAdd ? c_row[j] + *product : *product;
    }
  }
}

}  // namespace switchyard
