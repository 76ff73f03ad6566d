#ifndef SWITCHYARD_GATEWAY_LAYER_LAYER_MEMBERSHIP_H_
#define SWITCHYARD_GATEWAY_LAYER_LAYER_MEMBERSHIP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gateway/expert_group.h"
#include "gateway/placement/placement.h"

namespace switchyard {

// One layer's workers at one time. Immutable: a request takes one and uses it
// to its end, so it never sees two placements.
struct LayerMembership {
  uint64_t generation = 0;
  Placement placement;
  // By index into placement.workers().
  std::vector<std::shared_ptr<ExpertGroup>> groups;
};

// Called when a group could not be reached. The group tells the worker that
// failed from one that has registered under its name since.
using ReportLostWorker =
    std::function<void(const std::string& worker_id, const ExpertGroup* group,
                       const absl::Status& status)>;

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_LAYER_MEMBERSHIP_H_
