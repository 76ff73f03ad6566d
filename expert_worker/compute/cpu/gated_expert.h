#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_EXPERT_H_

#include <cstdint>

#include "common/model/expert_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = h(x Wg^T + bg, x Wu^T + bu) Wd^T + bd with the h of gated_product.h;
// biases are optional. Keeps both operands of h, which is computed again in
// Backward. The gradient of x is the gate's part, to which the up projection's
// is added. Immutable.
class GatedExpert final : public ExpertCompute {
 public:
  GatedExpert(const GatedExpertSpec& spec, int64_t hidden_size);

  // [rows, ffn_size] of the gate, then [rows, ffn_size] of the up projection.
  int64_t kept_floats_per_row() const override { return 2 * spec_.ffn_size; }
  int64_t scratch_floats_per_row() const override { return spec_.ffn_size; }
  const Stages& forward_stages() const override { return forward_stages_; }
  const Stages& backward_stages() const override { return backward_stages_; }
  void Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
               const ForwardRows& rows, float* product_scratch) const override;
  void Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                const BackwardRows& rows, const ExpertGradients& gradients,
                float* product_scratch) const override;

 private:
  void AddGradients(PanelRange blocks, const ExpertMaps& maps,
                    const BackwardRows& rows, const ExpertGradients& gradients,
                    float* product_scratch) const;

  const GatedExpertSpec spec_;
  const int64_t num_hidden_panels_;
  const int64_t num_ffn_panels_;
  const Stages forward_stages_;
  const Stages backward_stages_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_GATED_EXPERT_H_
