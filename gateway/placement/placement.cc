#include "gateway/placement/placement.h"

#include <algorithm>
#include <set>
#include <utility>

namespace switchyard {

Placement::Placement(PlacementMap map) : map_(std::move(map)) {
  std::set<std::string> ids;
  for (const auto& workers : map_.expert_workers) {
    ids.insert(workers.begin(), workers.end());
  }
  workers_.assign(ids.begin(), ids.end());
  expert_replicas_.reserve(map_.expert_workers.size());
  for (const auto& workers : map_.expert_workers) {
    std::vector<int32_t>& replicas = expert_replicas_.emplace_back();
    for (const std::string& id : workers) {
      const auto it = std::lower_bound(workers_.begin(), workers_.end(), id);
      replicas.push_back(static_cast<int32_t>(it - workers_.begin()));
    }
  }
}

std::vector<int32_t> Placement::ExpertsOf(const std::string& worker_id) const {
  std::vector<int32_t> experts;
  for (size_t expert = 0; expert < map_.expert_workers.size(); ++expert) {
    const auto& workers = map_.expert_workers[expert];
    if (std::find(workers.begin(), workers.end(), worker_id) != workers.end()) {
      experts.push_back(static_cast<int32_t>(expert));
    }
  }
  return experts;
}

std::vector<int32_t> Placement::LostExperts() const {
  std::vector<int32_t> lost;
  for (size_t expert = 0; expert < expert_replicas_.size(); ++expert) {
    if (expert_replicas_[expert].empty()) {
      lost.push_back(static_cast<int32_t>(expert));
    }
  }
  return lost;
}

}  // namespace switchyard
