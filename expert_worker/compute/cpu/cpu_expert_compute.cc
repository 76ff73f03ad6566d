#include "expert_worker/compute/cpu/cpu_expert_compute.h"

#include <variant>

#include "expert_worker/compute/cpu/gated_expert.h"
#include "expert_worker/compute/cpu/identity_expert.h"
#include "expert_worker/compute/cpu/linear_expert.h"
#include "expert_worker/compute/cpu/mlp_expert.h"

namespace switchyard {

std::unique_ptr<const ExpertCompute> MakeCpuExpertCompute(
    const ExpertSpec& spec, int64_t hidden_size) {
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&spec)) {
    return std::make_unique<MlpExpert>(*mlp, hidden_size);
  }
  if (const auto* gated = std::get_if<GatedExpertSpec>(&spec)) {
    return std::make_unique<GatedExpert>(*gated, hidden_size);
  }
  if (std::holds_alternative<LinearExpertSpec>(spec)) {
    return std::make_unique<LinearExpert>(hidden_size);
  }
  return std::make_unique<IdentityExpert>(hidden_size);
}

}  // namespace switchyard
