#include "expert_worker/compute/cpu/linear_expert.h"

#include <cstddef>

#include "common/linalg/gemm.h"
#include "expert_worker/compute/cpu/bias.h"

namespace switchyard {
namespace {

// Positions of the parameters.
constexpr size_t kWeight = 0;
constexpr size_t kBias = 1;

}  // namespace

void LinearExpert::Forward(const ExpertValues& parameters,
                           const ForwardRows& rows) const {
  GemmNT(rows.x, parameters[kWeight], rows.y);
  if (spec_.bias) AddBias(parameters[kBias], rows.x.num_rows, rows.y);
}

void LinearExpert::Backward(const ExpertValues& parameters,
                            const BackwardRows& rows,
                            absl::Span<Tensor> gradients) const {
  const ConstMatrix grad_y(rows.grad_y, rows.x.num_rows, rows.x.num_cols);
  GemmTN(grad_y, rows.x, gradients[kWeight].data(), Accumulate::kAdd);
  if (spec_.bias) AddBiasGradient(grad_y, gradients[kBias]);
  GemmNN(grad_y, parameters[kWeight], rows.grad_x);
}

}  // namespace switchyard
