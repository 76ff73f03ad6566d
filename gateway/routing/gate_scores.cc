#include "gateway/routing/gate_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gateway/routing/gate_kernels.h"

namespace switchyard {
namespace {

float Sigmoid(float v) { return 1.0f / (1.0f + std::exp(-v)); }

float SqrtSoftplus(float v) {
  // log(1 + exp(v)) without overflow.
  return std::sqrt(std::max(v, 0.0f) + std::log1p(std::exp(-std::fabs(v))));
}

// Writes the scores of a row; false where a logit is NaN or infinite.
bool ScoreRow(ScoreFunction function, const float* logits, int64_t num_experts,
              float* out) {
  if (function == ScoreFunction::kSoftmax) {
    return SoftmaxRow(logits, num_experts, out);
  }
  if (FirstNonFinite({logits, static_cast<size_t>(num_experts)}) >= 0) {
    return false;
  }
  std::transform(logits, logits + num_experts, out,
                 function == ScoreFunction::kSigmoid ? Sigmoid : SqrtSoftplus);
  return true;
}

void SoftmaxBackward(const float* scores, int64_t num_experts,
                     float* grad_row) {
  double sum = 0;
  for (int64_t e = 0; e < num_experts; ++e) {
    sum += static_cast<double>(scores[e]) * static_cast<double>(grad_row[e]);
  }
  const float mean = static_cast<float>(sum);
  for (int64_t e = 0; e < num_experts; ++e) {
    grad_row[e] = scores[e] * (grad_row[e] - mean);
  }
}

float SqrtSoftplusSlope(float score) {
  // sigmoid(l) / (2 s), with sigmoid(l) = 1 - exp(-softplus(l)).
  return score == 0 ? 0.0f : -std::expm1(-score * score) / (2.0f * score);
}

}  // namespace

GateScores ComputeScores(ScoreFunction function, ConstMatrix logits) {
  const int64_t num_experts = logits.num_cols;
  GateScores result;
  result.values = Tensor::Uninitialized({logits.num_rows, num_experts});
  result.token_order.reserve(static_cast<size_t>(logits.num_rows));
  std::vector<int64_t> broken_tokens;
  for (int64_t token = 0; token < logits.num_rows; ++token) {
    const float* row = logits.row(token);
    float* out = result.values.row(token);
    if (ScoreRow(function, row, num_experts, out)) {
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

void ScoresBackward(ScoreFunction function, const float* scores,
                    int64_t num_experts, float* grad_row) {
  switch (function) {
    case ScoreFunction::kSoftmax:
      return SoftmaxBackward(scores, num_experts, grad_row);
    case ScoreFunction::kSigmoid:
      for (int64_t e = 0; e < num_experts; ++e) {
        grad_row[e] *= scores[e] * (1.0f - scores[e]);
      }
      return;
    case ScoreFunction::kSqrtSoftplus:
      for (int64_t e = 0; e < num_experts; ++e) {
        grad_row[e] *= SqrtSoftplusSlope(scores[e]);
      }
      return;
  }
}

}  // namespace switchyard
