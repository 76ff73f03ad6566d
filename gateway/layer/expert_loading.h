// Putting a layer's experts onto its workers, and taking them off.
#ifndef SWITCHYARD_GATEWAY_LAYER_EXPERT_LOADING_H_
#define SWITCHYARD_GATEWAY_LAYER_EXPERT_LOADING_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/model/layer_spec.h"
#include "gateway/layer/layer_membership.h"

namespace switchyard {

// Spreads the experts over the groups, by worker id, and loads them. On error
// nothing stays loaded. Errors as MoeLayer::Create.
absl::StatusOr<std::shared_ptr<const LayerMembership>> PlaceExperts(
    const LayerSpec& spec,
    const absl::btree_map<std::string, std::shared_ptr<ExpertGroup>>& groups,
    uint64_t generation, const CallContext& call);

void UnloadExperts(const LayerMembership& membership, const std::string& layer,
                   const CallContext& call);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_EXPERT_LOADING_H_
