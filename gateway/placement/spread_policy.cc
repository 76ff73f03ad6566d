#include "gateway/placement/spread_policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace switchyard {

absl::StatusOr<PlacementMap> SpreadExperts(
    int32_t num_experts, int32_t ep_size,
    const std::vector<std::string>& worker_ids) {
  const int32_t num_workers = static_cast<int32_t>(worker_ids.size());
  if (num_workers == 0) {
    return absl::FailedPreconditionError(
        "no workers are registered, expected at least 1");
  }
  if (ep_size > num_workers) {
    return absl::FailedPreconditionError(
        absl::StrCat("spec.ep_size: got ", ep_size, ", expected at most ",
                     num_workers, ", the number of workers registered"));
  }
  int32_t num_hosts = num_workers;
  if (ep_size == 0) {
    ep_size = std::min(num_workers, num_experts);
    num_hosts = ep_size;
  }
  PlacementMap map;
  map.expert_workers.resize(static_cast<size_t>(num_experts));
  const int32_t experts_per_position = num_experts / ep_size;
  const int32_t num_longer = num_experts % ep_size;
  for (int32_t worker = 0; worker < num_hosts; ++worker) {
    const int32_t position = worker % ep_size;
    const int32_t first =
        position * experts_per_position + std::min(position, num_longer);
    const int32_t last =
        first + experts_per_position + (position < num_longer ? 1 : 0);
    for (int32_t expert = first; expert < last; ++expert) {
      map.expert_workers[static_cast<size_t>(expert)].push_back(
          worker_ids[static_cast<size_t>(worker)]);
    }
  }
  return map;
}

PlacementMap WithoutWorker(const PlacementMap& map,
                           const std::string& worker_id) {
  PlacementMap next = map;
  ++next.version;
  for (std::vector<std::string>& workers : next.expert_workers) {
    workers.erase(std::remove(workers.begin(), workers.end(), worker_id),
                  workers.end());
  }
  return next;
}

}  // namespace switchyard
