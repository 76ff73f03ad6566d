// How a layer's dense branch D joins the sum of its experts: the weights that
// both get, token by token, and their gradients. A branch is a route like any
// other, so its weight is all that there is to it.
#ifndef SWITCHYARD_GATEWAY_BRANCH_BRANCH_MIX_H_
#define SWITCHYARD_GATEWAY_BRANCH_BRANCH_MIX_H_

#include <vector>

#include "absl/types/span.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// y = expert_factor * MoE(x) + branch_weight * D(x), for each token.
struct BranchWeights {
  // [tokens]; empty: 1 for all.
  std::vector<float> expert_factors;
  // [tokens].
  std::vector<float> branch_weights;
};

// By spec.dense_branch->mix, which must be set:
//   kSum           1
//   kSigmoidGate   branch sigmoid(x . w), parameters {w [1, hidden_size]}
//   kCoefficients  (experts, branch) = softmax(x C^T + b), {C [2, hidden_size],
//                  b [2]}
//   kScale         branch c, {c [1]}
// `parameters`: those of the mix, as GateParameters orders them
// (common/model/parameters.h). Sums are taken in float64, in order.
BranchWeights MixBranch(BranchMix mix, ConstMatrix x,
                        absl::Span<const Tensor* const> parameters);

// d loss / d expert_factor and d loss / d branch_weight, for each token.
struct BranchWeightGradients {
  std::vector<float> expert_factors;
  std::vector<float> branch_weights;
};

// Adds the gradients of the parameters to `gradients` (shaped and ordered as
// `parameters`) and what comes back to x to grad_x [tokens, hidden_size].
void MixBranchBackward(BranchMix mix, ConstMatrix x,
                       absl::Span<const Tensor* const> parameters,
                       const BranchWeights& weights,
                       const BranchWeightGradients& grads,
                       absl::Span<Tensor* const> gradients, Tensor& grad_x);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_BRANCH_BRANCH_MIX_H_
