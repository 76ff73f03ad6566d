#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_

#include <cstdint>

#include "common/model/expert_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = x W^T + b, by common/linalg/gemm.h; b is optional. Immutable.
class LinearExpert final : public ExpertCompute {
 public:
  explicit LinearExpert(const LinearExpertSpec& spec) : spec_(spec) {}

  int64_t kept_floats_per_row() const override { return 0; }
  int64_t scratch_floats_per_row() const override { return 0; }
  void Forward(const ExpertValues& parameters,
               const ForwardRows& rows) const override;
  void Backward(const ExpertValues& parameters, const BackwardRows& rows,
                absl::Span<Tensor> gradients) const override;

 private:
  const LinearExpertSpec spec_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_
