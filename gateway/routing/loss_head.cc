#include "gateway/routing/loss_head.h"

#include <algorithm>
#include <cmath>

namespace switchyard {
namespace {

// Returns -log softmax(y)[label] of one row and writes its gradient, times
// `scale`.
double CrossEntropyRow(const float* y, int64_t num_classes, int32_t label,
                       double scale, float* grad) {
  const double max = *std::max_element(y, y + num_classes);
  double sum = 0;
  for (int64_t c = 0; c < num_classes; ++c) {
    const double term = std::exp(static_cast<double>(y[c]) - max);
    grad[c] = static_cast<float>(term);
    sum += term;
  }
  const float factor = static_cast<float>(scale / sum);
  for (int64_t c = 0; c < num_classes; ++c) grad[c] *= factor;
  grad[label] -= static_cast<float>(scale);
  return max + std::log(sum) - static_cast<double>(y[label]);
}

}  // namespace

LossGradient SoftmaxCrossEntropy(ConstMatrix y,
                                 absl::Span<const int32_t> labels) {
  LossGradient result;
  result.grad_y = Tensor::Uninitialized({y.num_rows, y.num_cols});
  if (y.num_rows == 0) return result;
  const double scale = 1.0 / static_cast<double>(y.num_rows);
  double sum = 0;
  for (int64_t token = 0; token < y.num_rows; ++token) {
    sum += CrossEntropyRow(y.row(token), y.num_cols,
                           labels[static_cast<size_t>(token)], scale,
                           result.grad_y.row(token));
  }
  result.loss = static_cast<float>(sum * scale);
  return result;
}

LossGradient MeanSquaredError(ConstMatrix y, ConstMatrix target) {
  LossGradient result;
  result.grad_y = Tensor::Uninitialized({y.num_rows, y.num_cols});
  const int64_t num_elements = y.num_elements();
  if (num_elements == 0) return result;
  const double scale = 1.0 / static_cast<double>(num_elements);
  double sum = 0;
  for (int64_t i = 0; i < num_elements; ++i) {
    const double difference =
        static_cast<double>(y.data[i]) - static_cast<double>(target.data[i]);
    sum += difference * difference;
    result.grad_y.data()[i] = static_cast<float>(2.0 * scale * difference);
  }
  result.loss = static_cast<float>(sum * scale);
  return result;
}

}  // namespace switchyard
