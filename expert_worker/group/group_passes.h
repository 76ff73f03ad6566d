// A batch through the experts of a whole group, as one member sees it. It has
// some of the batch's tokens (its share); it sends each to the members that own
// the token's experts, once to each, computes what others send it as if the
// gateway had, and sums what comes back.
//
// Shares are runs of tokens, by rank: what an owner gets, rank by rank, is the
// request that the gateway would have sent it without a group, row for row. So
// the group shows in no bit of an expert's work, and what a forward keeps can
// be used by a backward without the group, and the other way round.
#ifndef SWITCHYARD_EXPERT_WORKER_GROUP_GROUP_PASSES_H_
#define SWITCHYARD_EXPERT_WORKER_GROUP_GROUP_PASSES_H_

#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "expert_worker/group/member_exchange.h"
#include "expert_worker/worker.h"

namespace switchyard {

// y of the share: for each token the sum of the members' partial rows, by rank,
// the first taken as it is and others added; with exact_combine a row for each
// route. `request.group` must be set. What one member fails with all do;
// UNAVAILABLE: the group is broken.
absl::StatusOr<ExpertForwardResult> GroupForward(
    Worker& worker, MemberExchange& exchange,
    const ExpertForwardRequest& request, const CallContext& call);

// The same backwards. After an error some members may have added to gradients.
absl::StatusOr<ExpertBackwardResult> GroupBackward(
    Worker& worker, MemberExchange& exchange,
    const ExpertBackwardRequest& request, const CallContext& call);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_GROUP_GROUP_PASSES_H_
