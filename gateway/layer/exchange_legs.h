#ifndef SWITCHYARD_GATEWAY_LAYER_EXCHANGE_LEGS_H_
#define SWITCHYARD_GATEWAY_LAYER_EXCHANGE_LEGS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/dispatch/member_shares.h"
#include "gateway/dispatch/token_routes.h"
#include "gateway/expert_group.h"
#include "gateway/group/group_link.h"
#include "gateway/layer/expert_exchange.h"

namespace switchyard {

// One call of an exchange: to one worker, with its own part of the batch, or to
// a member of a group of workers, with its share of the group's tokens.
struct ExchangeLeg {
  ExpertGroup* worker = nullptr;
  std::string worker_id;
  // Index into Placement::workers(). None for a member of a group: its errors
  // do not tell who is lost.
  std::optional<int32_t> worker_idx;
  // Of a member of a group.
  std::optional<GroupCall> group;
  GroupLink* link = nullptr;
};

// The calls that bring a batch to its experts. Where two or more of the workers
// that the plan names are in one group, all members of the group are called in
// their stead: every token crosses once to the group, and one row comes back.
// Confined to one thread.
class ExchangeLegs {
 public:
  // A leg for each worker of the plan.
  static ExchangeLegs Alone(const ExchangeContext& context,
                            const DispatchPlan& plan);
  // Through groups where there are any; waits for their turn, and fails with
  // why the context's call is over.
  static absl::StatusOr<ExchangeLegs> ThroughGroups(
      const ExchangeContext& context, const DispatchPlan& plan,
      const TokenRoutes& routes);

  // What each leg sends, and how the answers are summed; borrows the plan that
  // the legs were made of.
  const DispatchPlan& plan() const {
    return shares_.has_value() ? *shares_ : *plan_;
  }
  const std::vector<ExchangeLeg>& legs() const { return legs_; }
  bool UsesGroups() const { return !calls_.empty(); }
  // Whether one of the groups is no more.
  bool HasBrokenGroup() const;

  // How long a leg's call may take.
  CallContext CallOf(const ExchangeLeg& leg, const CallContext& caller) const;
  // `done`, which first breaks the leg's group where the answer says that it is
  // broken: other members may wait for one that will never come.
  template <typename Result>
  static std::function<void(absl::StatusOr<Result>)> Watched(
      const ExchangeLeg& leg,
      std::function<void(absl::StatusOr<Result>)> done) {
    if (leg.link == nullptr) return done;
    return [link = leg.link,
            done = std::move(done)](absl::StatusOr<Result> result) {
      if (absl::IsUnavailable(result.status())) link->Break();
      done(std::move(result));
    };
  }

 private:
  explicit ExchangeLegs(const DispatchPlan& plan) : plan_(&plan) {}

  // Replaces the parts of the plan that `groups` name by shares.
  struct PlannedGroup {
    GroupLink::Call call;
    std::vector<RankedDispatch> parts;
  };
  void Regroup(const ExchangeContext& context, const TokenRoutes& routes,
               std::vector<PlannedGroup> groups,
               const std::vector<int>& group_of_part);
  void AddAlone(const ExchangeContext& context, int32_t worker_idx);
  void CancelWith(const CallContext& caller);

  const DispatchPlan* plan_;
  std::optional<DispatchPlan> shares_;
  std::vector<ExchangeLeg> legs_;
  std::vector<GroupLink::Call> calls_;
  // After `calls_`, which it cancels.
  std::unique_ptr<std::stop_callback<std::function<void()>>> cancel_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_EXCHANGE_LEGS_H_
