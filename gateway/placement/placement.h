#ifndef SWITCHYARD_GATEWAY_PLACEMENT_PLACEMENT_H_
#define SWITCHYARD_GATEWAY_PLACEMENT_PLACEMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/api/layer_calls.h"

namespace switchyard {

// A PlacementMap made ready for planning: workers by number. Immutable.
class Placement {
 public:
  explicit Placement(PlacementMap map);

  const PlacementMap& map() const { return map_; }
  // All workers that host anything, in order of id.
  const std::vector<std::string>& workers() const { return workers_; }
  // Indices into workers() of an expert's replicas, in order of the map.
  const std::vector<int32_t>& replicas(int32_t expert_id) const {
    return expert_replicas_[static_cast<size_t>(expert_id)];
  }
  int32_t num_experts() const {
    return static_cast<int32_t>(expert_replicas_.size());
  }
  // In order of id.
  std::vector<int32_t> ExpertsOf(const std::string& worker_id) const;
  // Experts without any worker, in order of id.
  std::vector<int32_t> LostExperts() const;

 private:
  PlacementMap map_;
  std::vector<std::string> workers_;
  std::vector<std::vector<int32_t>> expert_replicas_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_PLACEMENT_PLACEMENT_H_
