#include "expert_worker/compute/cpu/bias.h"

namespace switchyard {

void AddBias(ConstMatrix bias, int64_t num_rows, float* y) {
  const int64_t num_cols = bias.num_cols;
  const float* b = bias.data;
  for (int64_t i = 0; i < num_rows; ++i, y += num_cols) {
    for (int64_t j = 0; j < num_cols; ++j) y[j] += b[j];
  }
}

void AddBiasGradient(ConstMatrix grad_y, Tensor& grad_bias) {
  float* sums = grad_bias.data();
  for (int64_t i = 0; i < grad_y.num_rows; ++i) {
    const float* row = grad_y.row(i);
    for (int64_t j = 0; j < grad_y.num_cols; ++j) sums[j] += row[j];
  }
}

}  // namespace switchyard
