#include "expert_worker/compute/cpu/gated_expert.h"

#include <cstddef>

#include "common/linalg/gemm.h"
#include "expert_worker/compute/cpu/bias.h"
#include "expert_worker/compute/cpu/gated_product.h"

namespace switchyard {
namespace {

// Positions of the weights; a bias, if there are any, comes after its weight.
struct Positions {
  explicit Positions(const GatedExpertSpec& spec)
      : up(spec.bias ? 2 : 1), down(2 * up) {}

  const size_t gate = 0;
  const size_t up;
  const size_t down;
};

absl::Span<const float> Elements(ConstMatrix matrix) {
  return absl::MakeConstSpan(matrix.data,
                             static_cast<size_t>(matrix.num_elements()));
}

// y = x W^T + b, with the weight at `position`.
void Project(const ExpertValues& parameters, size_t position, bool bias,
             ConstMatrix x, float* y) {
  GemmNT(x, parameters[position], y);
  if (bias) AddBias(parameters[position + 1], x.num_rows, y);
}

void AddProjectionGradient(ConstMatrix grad_y, ConstMatrix x, size_t position,
                           bool bias, absl::Span<Tensor> gradients) {
  GemmTN(grad_y, x, gradients[position].data(), Accumulate::kAdd);
  if (bias) AddBiasGradient(grad_y, gradients[position + 1]);
}

}  // namespace

void GatedExpert::Forward(const ExpertValues& parameters,
                          const ForwardRows& rows) const {
  const Positions at(spec_);
  const int64_t num_rows = rows.x.num_rows;
  const ConstMatrix gate(rows.kept, num_rows, spec_.ffn_size);
  const ConstMatrix up(rows.kept + gate.num_elements(), num_rows,
                       spec_.ffn_size);
  Project(parameters, at.gate, spec_.bias, rows.x, rows.kept);
  Project(parameters, at.up, spec_.bias, rows.x,
          rows.kept + gate.num_elements());
  GatedProduct(spec_, Elements(gate), Elements(up), rows.scratch);
  Project(parameters, at.down, spec_.bias,
          ConstMatrix(rows.scratch, num_rows, spec_.ffn_size), rows.y);
}

void GatedExpert::Backward(const ExpertValues& parameters,
                           const BackwardRows& rows,
                           absl::Span<Tensor> gradients) const {
  const Positions at(spec_);
  const int64_t num_rows = rows.x.num_rows;
  const ConstMatrix grad_y(rows.grad_y, num_rows, rows.x.num_cols);
  const ConstMatrix gate(rows.kept, num_rows, spec_.ffn_size);
  const ConstMatrix up(rows.kept + gate.num_elements(), num_rows,
                       spec_.ffn_size);

  // The first half of the scratch is h at first, then the gradient of it, then
  // that of the gate; the second that of the up projection.
  float* first = rows.scratch;
  float* second = rows.scratch + gate.num_elements();
  const ConstMatrix first_rows(first, num_rows, spec_.ffn_size);
  const ConstMatrix second_rows(second, num_rows, spec_.ffn_size);
  GatedProduct(spec_, Elements(gate), Elements(up), first);
  AddProjectionGradient(grad_y, first_rows, at.down, spec_.bias, gradients);
  GemmNN(grad_y, parameters[at.down], first);
  GatedProductGradient(spec_, Elements(gate), Elements(up), first, second);
  AddProjectionGradient(first_rows, rows.x, at.gate, spec_.bias, gradients);
  AddProjectionGradient(second_rows, rows.x, at.up, spec_.bias, gradients);
  GemmNN(first_rows, parameters[at.gate], rows.grad_x);
  GemmNN(second_rows, parameters[at.up], rows.grad_x, Accumulate::kAdd);
}

}  // namespace switchyard
