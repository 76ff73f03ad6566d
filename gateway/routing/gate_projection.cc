#include "gateway/routing/gate_projection.h"

namespace switchyard {
namespace {

Tensor Multiply(ConstMatrix a, const Tensor& b) {
  Tensor product = Tensor::Uninitialized({a.num_rows, a.num_cols});
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    product.data()[i] = a.data[i] * b.data()[i];
  }
  return product;
}

}  // namespace

Tensor GateLogits(ConstMatrix x, const Tensor& jitter,
                  const PackedMatrix& gate_weight) {
  if (jitter.num_elements() > 0) {
    return GateLogits(Multiply(x, jitter), Tensor(), gate_weight);
  }
  Tensor logits = Tensor::Uninitialized({x.num_rows, gate_weight.num_rows()});
  GemmNT(x, gate_weight, logits.data());
  return logits;
}

void GateProjectionBackward(ConstMatrix x, const Tensor& jitter,
                            const Tensor& gate_weight,
                            const Tensor& grad_logits, Tensor& grad_gate_weight,
                            Tensor& grad_x) {
  if (jitter.num_elements() > 0) {
    Tensor grad_input = Tensor::Zeros({x.num_rows, x.num_cols});
    GateProjectionBackward(Multiply(x, jitter), Tensor(), gate_weight,
                           grad_logits, grad_gate_weight, grad_input);
    for (int64_t i = 0; i < grad_input.num_elements(); ++i) {
      grad_x.data()[i] += grad_input.data()[i] * jitter.data()[i];
    }
    return;
  }
  GemmTN(grad_logits, x, grad_gate_weight.data(), Accumulate::kAdd);
  GemmNN(grad_logits, gate_weight, grad_x.data(), Accumulate::kAdd);
}

}  // namespace switchyard
