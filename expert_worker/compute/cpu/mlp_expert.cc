#include "expert_worker/compute/cpu/mlp_expert.h"

#include <cstddef>

#include "common/linalg/gemm.h"
#include "expert_worker/compute/cpu/activation.h"
#include "expert_worker/compute/cpu/bias.h"

namespace switchyard {
namespace {

// Positions of the parameters. Without biases fc2.weight is the second.
constexpr size_t kFc1Weight = 0;
constexpr size_t kFc1Bias = 1;
constexpr size_t kFc2Bias = 3;
size_t Fc2Weight(const MlpExpertSpec& spec) { return spec.bias ? 2 : 1; }

absl::Span<const float> Elements(ConstMatrix matrix) {
  return absl::MakeConstSpan(matrix.data,
                             static_cast<size_t>(matrix.num_elements()));
}

}  // namespace

void MlpExpert::Forward(const ExpertValues& parameters,
                        const ForwardRows& rows) const {
  const int64_t num_rows = rows.x.num_rows;
  GemmNT(rows.x, parameters[kFc1Weight], rows.kept);
  if (spec_.bias) AddBias(parameters[kFc1Bias], num_rows, rows.kept);
  const ConstMatrix pre(rows.kept, num_rows, spec_.ffn_size);
  Activate(spec_.activation, Elements(pre), rows.scratch);
  const ConstMatrix hidden(rows.scratch, num_rows, spec_.ffn_size);
  GemmNT(hidden, parameters[Fc2Weight(spec_)], rows.y);
  if (spec_.bias) AddBias(parameters[kFc2Bias], num_rows, rows.y);
}

void MlpExpert::Backward(const ExpertValues& parameters,
                         const BackwardRows& rows,
                         absl::Span<Tensor> gradients) const {
  const int64_t num_rows = rows.x.num_rows;
  const ConstMatrix grad_y(rows.grad_y, num_rows, rows.x.num_cols);
  const ConstMatrix pre(rows.kept, num_rows, spec_.ffn_size);

  // The scratch is the activation's output first, then the gradient of it,
  // then that of its input.
  const ConstMatrix scratch(rows.scratch, num_rows, spec_.ffn_size);
  Activate(spec_.activation, Elements(pre), rows.scratch);
  GemmTN(grad_y, scratch, gradients[Fc2Weight(spec_)].data(), Accumulate::kAdd);
  if (spec_.bias) AddBiasGradient(grad_y, gradients[kFc2Bias]);

  GemmNN(grad_y, parameters[Fc2Weight(spec_)], rows.scratch);
  MultiplyByDerivative(spec_.activation, Elements(pre), rows.scratch);
  GemmTN(scratch, rows.x, gradients[kFc1Weight].data(), Accumulate::kAdd);
  if (spec_.bias) AddBiasGradient(scratch, gradients[kFc1Bias]);
  GemmNN(scratch, parameters[kFc1Weight], rows.grad_x);
}

}  // namespace switchyard
