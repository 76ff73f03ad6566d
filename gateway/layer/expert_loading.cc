#include "gateway/layer/expert_loading.h"

#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "gateway/fan_out.h"
#include "gateway/placement/spread_policy.h"

namespace switchyard {
namespace {

// Of what was loaded in vain.
constexpr absl::Duration kUnloadTimeout = absl::Seconds(10);

absl::Status LoadOnto(const LayerMembership& membership, const LayerSpec& spec,
                      const CallContext& call) {
  const std::vector<std::string>& workers = membership.placement.workers();
  std::vector<LoadExpertsRequest> requests;
  for (const std::string& worker_id : workers) {
    requests.push_back({.spec = spec,
                        .expert_ids = membership.placement.ExpertsOf(worker_id),
                        .generation = membership.generation});
  }
  FanOut<absl::Status> fan_out(workers.size());
  for (size_t w = 0; w < workers.size(); ++w) {
    membership.groups[w]->LoadExperts(requests[w], call, fan_out.Done(w));
  }
  const std::vector<absl::Status> answers = fan_out.Wait();
  for (const absl::Status& answer : answers) {
    SWITCHYARD_RETURN_IF_ERROR(answer);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LayerMembership>> PlaceExperts(
    const LayerSpec& spec,
    const absl::btree_map<std::string, std::shared_ptr<ExpertGroup>>& groups,
    uint64_t generation, const CallContext& call) {
  std::vector<std::string> worker_ids;
  for (const auto& [worker_id, group] : groups) worker_ids.push_back(worker_id);
  SWITCHYARD_ASSIGN_OR_RETURN(
      PlacementMap map,
      SpreadExperts(spec.num_hosted_experts(), spec.ep_size, worker_ids));
  Placement placement(std::move(map));
  std::vector<std::shared_ptr<ExpertGroup>> hosts;
  for (const std::string& worker_id : placement.workers()) {
    hosts.push_back(groups.at(worker_id));
  }
  auto membership = std::make_shared<const LayerMembership>(
      LayerMembership{generation, std::move(placement), std::move(hosts)});
  const absl::Status loaded = LoadOnto(*membership, spec, call);
  if (!loaded.ok()) {
    // Whatever became of the caller: they must not stay.
    UnloadExperts(*membership, spec.name, Clock::Real().Now() + kUnloadTimeout);
    return loaded;
  }
  return membership;
}

void UnloadExperts(const LayerMembership& membership, const std::string& layer,
                   const CallContext& call) {
  FanOut<absl::Status> fan_out(membership.groups.size());
  for (size_t w = 0; w < membership.groups.size(); ++w) {
    membership.groups[w]->UnloadExperts(layer, call, fan_out.Done(w));
  }
  // A worker that cannot be reached has nothing left to unload.
  static_cast<void>(fan_out.Wait());
}

}  // namespace switchyard
