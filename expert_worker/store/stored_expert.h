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
#include "expert_worker/store/stored_tensor.h"

namespace switchyard {

// Where one piece of a parameter that is not stored as float32 is updated.
struct UpdateScratch {
  Tensor value;
  Tensor gradient;
  OptimizerState state;
};

// One expert: parameters in the dtypes of the layer, and, unless the layer is
// inference_only, summed gradients and optimizer state, both in float32.
// Parameters are numbered as in ExpertParameters (common/model/parameters.h).
//
// Values and optimizer state are guarded by the owner, who keeps readers and
// writers apart; gradients guard themselves, so that several Backwards may add
// to them.
class StoredExpert {
 public:
  // Initial parameters, as InitialParameter gives them, rounded to their
  // dtypes; zero gradients.
  StoredExpert(const LayerSpec& spec, int32_t expert_id);

  int32_t expert_id() const { return expert_id_; }
  // Values, gradients and optimizer state.
  int64_t size_bytes() const ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Floats of scratch that Values needs: 0 if all parameters are float32.
  int64_t widening_floats() const;
  // The values in float32: where they are stored if they are stored so, else
  // widened to `scratch`. Good while the scratch and the values stay as they
  // are.
  ExpertValues Values(absl::Span<float> scratch) const;

  // The calls from here to Update want an expert with gradients.

  // Runs `compute` backward and adds to the gradients. `values` are those of
  // Values.
  void AccumulateGradients(const ExpertCompute& compute,
                           const ExpertValues& values, const BackwardRows& rows)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // In double, parameter by parameter; order as DotProduct.
  double SquaredGradientNorm() const ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  // Working memory for Update. A few hundred KiB at most.
  static UpdateScratch MakeUpdateScratch(const OptimizerSpec& optimizer);
  // One update with the summed gradients, see ApplyUpdate, which are zero
  // afterwards. Computed in float32 and rounded to the dtype once, at the end;
  // so an update of less than half of a value's last digit does nothing.
  void Update(const OptimizerSpec& optimizer, float learning_rate,
              int64_t step_number, UpdateScratch& scratch)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Nothing to do where there are no gradients.
  void ZeroGradients() ABSL_LOCKS_EXCLUDED(gradient_mutex_);

  // Copies elements from `offset` on; all must be inside the parameter. Values
  // are rounded to the dtype.
  void Read(ParameterKind kind, int32_t parameter_idx, int64_t offset,
            absl::Span<float> elements) const
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);
  void Write(ParameterKind kind, int32_t parameter_idx, int64_t offset,
             absl::Span<const float> elements)
      ABSL_LOCKS_EXCLUDED(gradient_mutex_);

 private:
  const int32_t expert_id_;
  std::vector<StoredTensor> values_;
  std::vector<OptimizerState> optimizer_states_;
  mutable Mutex gradient_mutex_;
  std::vector<Tensor> gradients_ ABSL_GUARDED_BY(gradient_mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_
