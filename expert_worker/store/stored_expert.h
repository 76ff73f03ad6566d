#ifndef SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "common/api/expert_calls.h"
#include "common/base/mutex.h"
#include "common/model/layer_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/tensor/tensor.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// One expert: parameters, summed gradients, optimizer state. Parameters are
// numbered as in ExpertParameters (common/model/parameters.h).
//
// Values and optimizer state are guarded by the owner, who keeps readers and
// writers apart; gradients guard themselves, so that several Backwards may add
// to them.
class StoredExpert {
 public:
  // Initial parameters, as InitialParameter gives them; zero gradients.
  StoredExpert(const LayerSpec& spec, int32_t expert_id);

  int32_t expert_id() const { return expert_id_; }
  absl::Span<const Tensor> values() const { return values_; }
  // Values, gradients and optimizer state.
  int64_t size_bytes() const ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Runs `compute` backward and adds to the gradients.
  void AccumulateGradients(const ExpertCompute& compute,
                           const BackwardRows& rows)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // In double, parameter by parameter; order as DotProduct.
  double SquaredGradientNorm() const ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void ZeroGradients() ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // One update with the summed gradients, see ApplyUpdate, which are zero
  // afterwards.
  void Update(const OptimizerSpec& optimizer, float learning_rate,
              int64_t step_number) ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Copies elements from `offset` on; all must be inside the parameter.
  void Read(ParameterKind kind, int32_t parameter_idx, int64_t offset,
            absl::Span<float> elements) const
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void Write(ParameterKind kind, int32_t parameter_idx, int64_t offset,
             absl::Span<const float> elements)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);

 private:
  const int32_t expert_id_;
  std::vector<Tensor> values_;
  std::vector<OptimizerState> optimizer_states_;
  mutable Mutex gradient_mutex_;
  std::vector<Tensor> gradients_ ABSL_GUARDED_BY(gradient_mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_
