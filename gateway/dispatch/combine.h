// Bringing the groups' answers back together.
//
// Order of every sum (docs/numerics.md): starting from +0, without FMA,
// partial rows by worker id; single routes by choice.
#ifndef SWITCHYARD_GATEWAY_DISPATCH_COMBINE_H_
#define SWITCHYARD_GATEWAY_DISPATCH_COMBINE_H_

#include <vector>

#include "common/tensor/tensor.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/dispatch/token_routes.h"

namespace switchyard {

// Sums the groups' partial rows, answers[i] [group i's tokens, cols] belonging
// to plan.groups[i], into [num_tokens, cols]. Partial rows are sums from +0
// themselves, so that a row to which only one group adds is taken as it is.
Tensor CombinePartialRows(const DispatchPlan& plan, std::vector<Tensor> answers,
                          int64_t num_tokens, int64_t cols);

enum class RouteWeighting { kWeigh, kAlreadyWeighed };

// The same for answers with one row per route (exact_combine), multiplied by
// the routes' weights or not.
Tensor CombineRoutes(const DispatchPlan& plan, const TokenRoutes& routes,
                     const std::vector<Tensor>& answers, int64_t cols,
                     RouteWeighting weighting);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_DISPATCH_COMBINE_H_
