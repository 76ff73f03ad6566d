#include "expert_worker/layer/layer_compute.h"

#include <algorithm>

#include "expert_worker/compute/cpu/cpu_expert_compute.h"

namespace switchyard {

LayerCompute::LayerCompute(const LayerSpec& spec)
    : weight_application_(spec.gate.weight_application),
      branch_id_(spec.branch_id()),
      routed_(MakeCpuExpertCompute(spec.expert, spec.hidden_size)),
      branch_(MakeCpuExpertCompute(spec.expert_of(spec.branch_id()),
                                   spec.hidden_size)) {}

int64_t LayerCompute::NumBranchRoutes(
    absl::Span<const int32_t> route_experts) const {
  return std::count(route_experts.begin(), route_experts.end(), branch_id_);
}

int64_t LayerCompute::KeptFloats(int64_t num_routes,
                                 int64_t num_branch_routes) const {
  return (num_routes - num_branch_routes) * routed_->kept_floats_per_row() +
         num_branch_routes * branch_->kept_floats_per_row();
}

int64_t LayerCompute::ScratchFloats(int64_t num_routes,
                                    int64_t num_branch_routes) const {
  return (num_routes - num_branch_routes) * routed_->scratch_floats_per_row() +
         num_branch_routes * branch_->scratch_floats_per_row();
}

}  // namespace switchyard
