#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_

#include <cstdint>

#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = x W^T + b; b is optional. Immutable.
class LinearExpert final : public ExpertCompute {
 public:
  explicit LinearExpert(int64_t hidden_size);

  int64_t kept_floats_per_row() const override { return 0; }
  int64_t scratch_floats_per_row() const override { return 0; }
  const Stages& forward_stages() const override { return forward_stages_; }
  const Stages& backward_stages() const override { return backward_stages_; }
  void Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
               const ForwardRows& rows, float* product_scratch) const override;
  void Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                const BackwardRows& rows, const ExpertGradients& gradients,
                float* product_scratch) const override;

 private:
  const int64_t num_panels_;
  const Stages forward_stages_;
  const Stages backward_stages_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_EXPERT_H_
