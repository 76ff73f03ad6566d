#ifndef SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/api/expert_calls.h"
#include "common/model/layer_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/tensor/tensor.h"
#include "expert_worker/compute/expert_compute.h"
#include "expert_worker/store/stored_tensor.h"

namespace switchyard {

// Where one piece of a parameter that is not stored as float32 is updated, and
// the gradient of a piece that has none.
struct UpdateScratch {
  Tensor value;
  Tensor zeros;
};

// One expert: parameters in the dtypes of the layer, and, unless the layer is
// inference_only, summed gradients and optimizer state, both in float32 and in
// the layout of their parameters. Parameters are numbered as in
// ExpertParameters (common/model/parameters.h).
//
// The owner keeps readers and writers of values and optimizer state apart, and
// lets one at a time at the gradients.
class StoredExpert {
 public:
  // Initial parameters, as InitialParameter gives them, rounded to their
  // dtypes; zero gradients.
  StoredExpert(const LayerSpec& spec, int32_t expert_id);

  int32_t expert_id() const { return expert_id_; }
  // Values, gradients and optimizer state.
  int64_t size_bytes() const;
  // That of such an expert.
  static int64_t SizeBytes(const LayerSpec& spec, int32_t expert_id);

  // The values, to compute with. Good while the expert lives.
  ExpertMaps Maps() const;

  // The calls from here to Update want an expert with gradients.

  // To be added to or, where they are zero, overwritten; then call
  // HaveGradients.
  ExpertGradients Gradients();
  void HaveGradients() { gradients_are_zero_ = false; }
  // In double, parameter by parameter; order as DotProduct, of elements as they
  // are stored.
  double SquaredGradientNorm() const;
  // Working memory for Update, 32 KiB.
  static UpdateScratch MakeUpdateScratch();
  // One update with the summed gradients, see ApplyUpdate, which are zero
  // afterwards. Computed in float32 and rounded to the dtype once, at the end;
  // so an update of less than half of a value's last digit does nothing.
  void Update(const OptimizerSpec& optimizer, float learning_rate,
              int64_t step_number, UpdateScratch& scratch);

  void ZeroGradients() { gradients_are_zero_ = true; }

  // Copies row-major elements from `offset` on; all must be inside the
  // parameter. Values are rounded to the dtype, see StoredTensor.
  void Read(ParameterKind kind, int32_t parameter_idx, int64_t offset,
            absl::Span<float> elements) const;
  void Write(ParameterKind kind, int32_t parameter_idx, int64_t offset,
             absl::Span<const float> elements);

 private:
  const int32_t expert_id_;
  std::vector<StoredTensor> values_;
  std::vector<OptimizerState> optimizer_states_;
  // num_stored elements each.
  std::vector<Tensor> gradients_;
  // Then their memory may hold anything: who zeroed it would write all of it,
  // to read it once more when the first gradient is added.
  bool gradients_are_zero_ = true;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_STORED_EXPERT_H_
