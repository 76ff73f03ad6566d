#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_MLP_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_MLP_EXPERT_H_

#include <cstdint>

#include "common/model/expert_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = act(x W1^T + b1) W2^T + b2; biases are optional. Keeps what goes into the
// activation; what comes out is computed again in Backward, which halves the
// bytes kept. Immutable.
class MlpExpert final : public ExpertCompute {
 public:
  MlpExpert(const MlpExpertSpec& spec, int64_t hidden_size);

  int64_t kept_floats_per_row() const override { return spec_.ffn_size; }
  int64_t scratch_floats_per_row() const override { return spec_.ffn_size; }
  const Stages& forward_stages() const override { return forward_stages_; }
  const Stages& backward_stages() const override { return backward_stages_; }
  void Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
               const ForwardRows& rows, float* product_scratch) const override;
  void Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                const BackwardRows& rows, const ExpertGradients& gradients,
                float* product_scratch) const override;

 private:
  const MlpExpertSpec spec_;
  const int64_t num_hidden_panels_;
  const int64_t num_ffn_panels_;
  const Stages forward_stages_;
  const Stages backward_stages_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_MLP_EXPERT_H_
