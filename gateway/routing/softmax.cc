#include "gateway/routing/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace switchyard {
namespace {

// Writes the softmax of a row of finite logits.
void SoftmaxRow(const float* logits, int64_t num_experts, float* out) {
  const float max = *std::max_element(logits, logits + num_experts);
  double sum = 0;
  for (int64_t e = 0; e < num_experts; ++e) {
    out[e] = std::exp(logits[e] - max);
    sum += out[e];
  }
  const float divisor = static_cast<float>(sum);
  for (int64_t e = 0; e < num_experts; ++e) out[e] /= divisor;
}

}  // namespace

GateProbabilities GateSoftmax(ConstMatrix logits) {
  const int64_t num_experts = logits.num_cols;
  GateProbabilities result;
  result.values = Tensor::Uninitialized({logits.num_rows, num_experts});
  result.token_order.reserve(static_cast<size_t>(logits.num_rows));
  std::vector<int64_t> broken_tokens;
  for (int64_t token = 0; token < logits.num_rows; ++token) {
    const float* row = logits.row(token);
    float* out = result.values.row(token);
    if (FirstNonFinite({row, static_cast<size_t>(num_experts)}) < 0) {
      SoftmaxRow(row, num_experts, out);
      result.token_order.push_back(token);
    } else {
      std::fill_n(out, num_experts, std::numeric_limits<float>::quiet_NaN());
      broken_tokens.push_back(token);
    }
  }
  result.num_finite_tokens = static_cast<int64_t>(result.token_order.size());
  result.token_order.insert(result.token_order.end(), broken_tokens.begin(),
                            broken_tokens.end());
  return result;
}

}  // namespace switchyard
