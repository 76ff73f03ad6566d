#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_EXPERT_H_

#include <cstdint>

#include "common/model/expert_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = h(x Wg^T + bg, x Wu^T + bu) Wd^T + bd with the h of gated_product.h, by
// common/linalg/gemm.h; biases are optional. Keeps both operands of h, which is
// computed again in Backward. The gradient of x is the gate's part, to which
// the up projection's is added. Immutable.
class GatedExpert final : public ExpertCompute {
 public:
  explicit GatedExpert(const GatedExpertSpec& spec) : spec_(spec) {}

  // [rows, ffn_size] of the gate, then [rows, ffn_size] of the up projection.
  int64_t kept_floats_per_row() const override { return 2 * spec_.ffn_size; }
  int64_t scratch_floats_per_row() const override { return 2 * spec_.ffn_size; }
  void Forward(const ExpertValues& parameters,
               const ForwardRows& rows) const override;
  void Backward(const ExpertValues& parameters, const BackwardRows& rows,
                absl::Span<Tensor> gradients) const override;

 private:
  const GatedExpertSpec spec_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_EXPERT_H_
