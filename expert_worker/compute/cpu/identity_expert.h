#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_IDENTITY_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_IDENTITY_EXPERT_H_

#include <cstdint>

#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = x. Immutable.
class IdentityExpert final : public ExpertCompute {
 public:
  explicit IdentityExpert(int64_t hidden_size);

  bool returns_input() const override { return true; }
  int64_t kept_floats_per_row() const override { return 0; }
  int64_t scratch_floats_per_row() const override { return 0; }
  const Stages& forward_stages() const override { return stages_; }
  const Stages& backward_stages() const override { return stages_; }
  void Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
               const ForwardRows& rows, float* product_scratch) const override;
  void Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                const BackwardRows& rows, const ExpertGradients& gradients,
                float* product_scratch) const override;

 private:
  const Stages stages_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_IDENTITY_EXPERT_H_
