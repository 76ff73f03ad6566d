#include "gateway/layer/exchange_legs.h"

#include <algorithm>

#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "gateway/dispatch/member_shares.h"
#include "gateway/group/group_directory.h"

namespace switchyard {
namespace {

// For members to tell one another that the client's deadline has passed.
constexpr absl::Duration kGroupGrace = absl::Seconds(5);

constexpr int kAlone = -1;

// The parts of a plan that belong to one group.
struct GroupParts {
  std::shared_ptr<GroupLink> link;
  std::vector<RankedDispatch> parts;
  std::vector<size_t> part_idx;
};

std::vector<GroupParts> FindGroups(const ExchangeContext& context,
                                   const DispatchPlan& plan) {
  std::vector<GroupParts> groups;
  for (size_t p = 0; p < plan.groups.size(); ++p) {
    const GroupDispatch& part = plan.groups[p];
    const auto place = context.groups.Find(
        context.membership.groups[static_cast<size_t>(part.worker_idx)].get());
    if (!place.has_value()) continue;
    auto group = std::find_if(
        groups.begin(), groups.end(),
        [&place](const GroupParts& g) { return g.link == place->link; });
    if (group == groups.end()) {
      groups.push_back({.link = place->link});
      group = groups.end() - 1;
    }
    group->parts.push_back({.rank = place->rank, .dispatch = &part});
    group->part_idx.push_back(p);
  }
  // A worker alone has nobody to exchange with.
  std::erase_if(groups, [](const GroupParts& g) { return g.parts.size() < 2; });
  // All requests take their turns in one order: none waits for one that waits
  // for it.
  std::sort(groups.begin(), groups.end(),
            [](const GroupParts& a, const GroupParts& b) {
              return a.link->group_id() < b.link->group_id();
            });
  return groups;
}

}  // namespace

ExchangeLegs ExchangeLegs::Alone(const ExchangeContext& context,
                                 const DispatchPlan& plan) {
  ExchangeLegs legs(plan);
  for (const GroupDispatch& part : plan.groups) {
    legs.AddAlone(context, part.worker_idx);
  }
  return legs;
}

absl::StatusOr<ExchangeLegs> ExchangeLegs::ThroughGroups(
    const ExchangeContext& context, const DispatchPlan& plan,
    const TokenRoutes& routes) {
  std::vector<PlannedGroup> groups;
  std::vector<int> group_of_part(plan.groups.size(), kAlone);
  for (GroupParts& found : FindGroups(context, plan)) {
    absl::StatusOr<GroupLink::Call> call = found.link->Begin(context.call);
    // It broke just now: its workers are called one by one.
    if (absl::IsUnavailable(call.status())) continue;
    SWITCHYARD_RETURN_IF_ERROR(call.status());
    for (const size_t p : found.part_idx) {
      group_of_part[p] = static_cast<int>(groups.size());
    }
    groups.push_back({*std::move(call), std::move(found.parts)});
  }
  if (groups.empty()) return Alone(context, plan);
  ExchangeLegs legs(plan);
  legs.Regroup(context, routes, std::move(groups), group_of_part);
  legs.CancelWith(context.call);
  return legs;
}

void ExchangeLegs::Regroup(const ExchangeContext& context,
                           const TokenRoutes& routes,
                           std::vector<PlannedGroup> groups,
                           const std::vector<int>& group_of_part) {
  shares_.emplace();
  std::vector<char> is_done(groups.size(), 0);
  for (size_t p = 0; p < plan_->groups.size(); ++p) {
    if (group_of_part[p] == kAlone) {
      shares_->groups.push_back(plan_->groups[p]);
      AddAlone(context, plan_->groups[p].worker_idx);
      continue;
    }
    const size_t g = static_cast<size_t>(group_of_part[p]);
    if (std::exchange(is_done[g], 1) != 0) continue;
    GroupLink& link = groups[g].call.link();
    std::vector<MemberShare> shares =
        ShareAmongMembers(routes, groups[g].parts, link.size());
    for (size_t rank = 0; rank < shares.size(); ++rank) {
      const GroupedWorker& member = link.members()[rank];
      legs_.push_back({.worker = member.worker.get(),
                       .worker_id = member.worker_id,
                       .group = GroupCall{.group_id = link.group_id(),
                                          .sequence = groups[g].call.sequence(),
                                          .route_ranks = std::move(
                                              shares[rank].route_ranks),
                                          .deadline = context.call.deadline()},
                       .link = &link});
      shares_->groups.push_back(std::move(shares[rank].dispatch));
    }
  }
  for (PlannedGroup& group : groups) calls_.push_back(std::move(group.call));
}

void ExchangeLegs::AddAlone(const ExchangeContext& context,
                            int32_t worker_idx) {
  const size_t w = static_cast<size_t>(worker_idx);
  legs_.push_back({.worker = context.membership.groups[w].get(),
                   .worker_id = context.membership.placement.workers()[w],
                   .worker_idx = worker_idx});
}

void ExchangeLegs::CancelWith(const CallContext& caller) {
  // The legs move, the calls that the callback borrows do not.
  std::vector<const GroupLink::Call*> calls;
  for (const GroupLink::Call& call : calls_) calls.push_back(&call);
  cancel_ = std::make_unique<std::stop_callback<std::function<void()>>>(
      caller.cancellation(), [calls = std::move(calls)] {
        for (const GroupLink::Call* call : calls) call->Cancel();
      });
}

bool ExchangeLegs::HasBrokenGroup() const {
  return std::any_of(
      calls_.begin(), calls_.end(),
      [](const GroupLink::Call& call) { return call.link().IsBroken(); });
}

CallContext ExchangeLegs::CallOf(const ExchangeLeg& leg,
                                 const CallContext& caller) const {
  // Without the caller's cancellation: a member that never got its call would
  // leave the others waiting.
  return leg.link == nullptr ? caller
                             : CallContext(caller.deadline() + kGroupGrace);
}

}  // namespace switchyard
