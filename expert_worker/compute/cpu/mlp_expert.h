#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_MLP_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_MLP_EXPERT_H_

#include <cstdint>

#include "common/model/expert_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// y = act(x W1^T + b1) W2^T + b2, by common/linalg/gemm.h; biases are
// optional. Keeps what goes into the activation; what comes out is computed
// again in Backward, which halves the bytes kept. Immutable.
class MlpExpert final : public ExpertCompute {
 public:
  explicit MlpExpert(const MlpExpertSpec& spec) : spec_(spec) {}

  int64_t kept_floats_per_row() const override { return spec_.ffn_size; }
  int64_t scratch_floats_per_row() const override { return spec_.ffn_size; }
  void Forward(const ExpertValues& parameters,
               const ForwardRows& rows) const override;
  void Backward(const ExpertValues& parameters, const BackwardRows& rows,
                absl::Span<Tensor> gradients) const override;

 private:
  const MlpExpertSpec spec_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_MLP_EXPERT_H_
