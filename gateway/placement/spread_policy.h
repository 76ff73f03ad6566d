#ifndef SWITCHYARD_GATEWAY_PLACEMENT_SPREAD_POLICY_H_
#define SWITCHYARD_GATEWAY_PLACEMENT_SPREAD_POLICY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"

namespace switchyard {

// Places experts as DeepSpeed's `ep_size` does: the workers, in the order
// given, form expert-parallel sets of ep_size; position p of each set hosts the
// p-th contiguous run of experts, so every set hosts all of them. Unlike there,
// neither num_experts nor the number of workers need be a multiple of ep_size:
// the first runs are one longer, the last set may be incomplete.
//
// ep_size 0: min(workers, num_experts), no replicas. FAILED_PRECONDITION if
// there are fewer workers than ep_size, or none.
absl::StatusOr<PlacementMap> SpreadExperts(
    int32_t num_experts, int32_t ep_size,
    const std::vector<std::string>& worker_ids);

// The next version, without one worker.
PlacementMap WithoutWorker(const PlacementMap& map,
                           const std::string& worker_id);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_PLACEMENT_SPREAD_POLICY_H_
