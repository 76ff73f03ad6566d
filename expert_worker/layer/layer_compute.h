#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_LAYER_COMPUTE_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_LAYER_COMPUTE_H_

#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "common/model/layer_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// The arithmetic of a layer's experts: the routed ones have one in common, the
// dense branch has its own. Immutable.
//
// Rows of a batch are sorted by expert and so the branch's, if any, are the
// last: buffers hold the narrower or wider rows of each without gaps, and the
// segment that begins at row r begins at r times the routed experts' width.
class LayerCompute {
 public:
  // `spec` must have passed Validate.
  explicit LayerCompute(const LayerSpec& spec);

  // `expert_id` may be the branch's.
  const ExpertCompute& of(int32_t expert_id) const {
    return expert_id == branch_id_ ? *branch_ : *routed_;
  }
  // For all experts but the branch.
  const ExpertCompute& routed() const { return *routed_; }
  // Whether all experts, the branch too, return what they are given.
  bool returns_inputs() const {
    return routed_->returns_input() && branch_->returns_input();
  }
  WeightApplication weight_application() const { return weight_application_; }

  int64_t NumBranchRoutes(absl::Span<const int32_t> route_experts) const;
  // Of all rows of a batch. Unit: floats.
  int64_t KeptFloats(int64_t num_routes, int64_t num_branch_routes) const;
  int64_t ScratchFloats(int64_t num_routes, int64_t num_branch_routes) const;

 private:
  const WeightApplication weight_application_;
  const int32_t branch_id_;
  const std::unique_ptr<const ExpertCompute> routed_;
  // The like of `routed_` where the layer has no branch: no expert has that id.
  const std::unique_ptr<const ExpertCompute> branch_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_LAYER_COMPUTE_H_
