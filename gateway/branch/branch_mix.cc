#include "gateway/branch/branch_mix.h"

#include <algorithm>
#include <cmath>

namespace switchyard {
namespace {

double Dot(const float* a, const float* b, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

double Sigmoid(double v) { return 1.0 / (1.0 + std::exp(-v)); }

// grad_row += factor * row, and the other way round.
void AddOuter(float factor, const float* x_row, const float* parameter_row,
              int64_t size, float* grad_parameter_row, float* grad_x_row) {
  for (int64_t i = 0; i < size; ++i) {
    grad_parameter_row[i] += factor * x_row[i];
    grad_x_row[i] += factor * parameter_row[i];
  }
}

BranchWeights MixBySigmoid(ConstMatrix x, const Tensor& w) {
  BranchWeights weights;
  for (int64_t token = 0; token < x.num_rows; ++token) {
    weights.branch_weights.push_back(
        static_cast<float>(Sigmoid(Dot(x.row(token), w.data(), x.num_cols))));
  }
  return weights;
}

BranchWeights MixByCoefficients(ConstMatrix x, const Tensor& c,
                                const Tensor& b) {
  BranchWeights weights;
  for (int64_t token = 0; token < x.num_rows; ++token) {
    const double experts =
        Dot(x.row(token), c.row(0), x.num_cols) + double{b.data()[0]};
    const double branch =
        Dot(x.row(token), c.row(1), x.num_cols) + double{b.data()[1]};
    // Softmax of two is the sigmoid of their difference.
    weights.expert_factors.push_back(
        static_cast<float>(Sigmoid(experts - branch)));
    weights.branch_weights.push_back(
        static_cast<float>(Sigmoid(branch - experts)));
  }
  return weights;
}

}  // namespace

BranchWeights MixBranch(BranchMix mix, ConstMatrix x,
                        absl::Span<const Tensor* const> parameters) {
  const size_t num_tokens = static_cast<size_t>(x.num_rows);
  switch (mix) {
    case BranchMix::kSum:
      return {.branch_weights = std::vector<float>(num_tokens, 1.0f)};
    case BranchMix::kSigmoidGate:
      return MixBySigmoid(x, *parameters[0]);
    case BranchMix::kCoefficients:
      return MixByCoefficients(x, *parameters[0], *parameters[1]);
    case BranchMix::kScale:
      return {.branch_weights =
                  std::vector<float>(num_tokens, parameters[0]->data()[0])};
  }
  return {};
}

void MixBranchBackward(BranchMix mix, ConstMatrix x,
                       absl::Span<const Tensor* const> parameters,
                       const BranchWeights& weights,
                       const BranchWeightGradients& grads,
                       absl::Span<Tensor* const> gradients, Tensor& grad_x) {
  if (mix == BranchMix::kSum) return;
  double grad_scale = 0;
  for (int64_t token = 0; token < x.num_rows; ++token) {
    const size_t t = static_cast<size_t>(token);
    const float branch = weights.branch_weights[t];
    if (mix == BranchMix::kScale) {
      grad_scale += double{grads.branch_weights[t]};
    } else if (mix == BranchMix::kSigmoidGate) {
      AddOuter(grads.branch_weights[t] * branch * (1.0f - branch), x.row(token),
               parameters[0]->data(), x.num_cols, gradients[0]->data(),
               grad_x.row(token));
    } else {
      const float slope = weights.expert_factors[t] * branch;
      const float grad_logit =
          slope * (grads.branch_weights[t] - grads.expert_factors[t]);
      AddOuter(-grad_logit, x.row(token), parameters[0]->row(0), x.num_cols,
               gradients[0]->row(0), grad_x.row(token));
      AddOuter(grad_logit, x.row(token), parameters[0]->row(1), x.num_cols,
               gradients[0]->row(1), grad_x.row(token));
      gradients[1]->data()[0] -= grad_logit;
      gradients[1]->data()[1] += grad_logit;
    }
  }
  if (mix == BranchMix::kScale) {
    gradients[0]->data()[0] += static_cast<float>(grad_scale);
  }
}

}  // namespace switchyard
