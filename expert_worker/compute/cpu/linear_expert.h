#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_

#include <cstdint>

#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = x W^T + b, by common/linalg/gemm.h. Immutable.
class LinearExpert final : public ExpertCompute {
 public:
  int64_t kept_floats_per_row() const override { return 0; }
  int64_t scratch_floats_per_row() const override { return 0; }
  void Forward(absl::Span<const Tensor> parameters,
               const ForwardRows& rows) const override;
  void Backward(absl::Span<const Tensor> parameters, const BackwardRows& rows,
                absl::Span<Tensor> gradients) const override;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_
