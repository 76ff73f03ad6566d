#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_CPU_EXPERT_COMPUTE_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_CPU_EXPERT_COMPUTE_H_

#include <cstdint>
#include <memory>

#include "common/model/layer_spec.h"
#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// The CPU's arithmetic for a kind of expert. `spec` must have passed Validate.
std::unique_ptr<const ExpertCompute> MakeCpuExpertCompute(
    const ExpertSpec& spec, int64_t hidden_size);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_CPU_EXPERT_COMPUTE_H_
