// Sending a batch's tokens (or gradients) to the workers and getting the
// answers back, all workers in parallel.
#ifndef SWITCHYARD_GATEWAY_LAYER_EXPERT_EXCHANGE_H_
#define SWITCHYARD_GATEWAY_LAYER_EXPERT_EXCHANGE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "common/tensor/tensor.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/dispatch/token_routes.h"
#include "gateway/gateway_metrics.h"
#include "gateway/group/group_directory.h"
#include "gateway/layer/layer_membership.h"

namespace switchyard {

// What every exchange of one layer needs. Borrowed.
struct ExchangeContext {
  const LayerSpec& spec;
  const LayerMembership& membership;
  GatewayMetrics& metrics;
  const ReportLostWorker& report_lost;
  const GroupDirectory& groups;
  CallContext call;
};

struct ExchangeTiming {
  int64_t wait_us = 0;
  // The slowest worker's.
  int64_t compute_us = 0;
};

struct ForwardExchange {
  // [tokens, hidden_size].
  Tensor y;
  ExchangeTiming timing;
};

struct BackwardExchange {
  // d loss / d x through the experts, [tokens, hidden_size].
  Tensor grad_x;
  // [tokens * k]: <grad_y, expert(x)>, 0 where there is no route.
  std::vector<float> route_dots;
  ExchangeTiming timing;
};

// `keep`: the key for the backward to come, in train mode. The first worker's
// error, by id, where there is one; unreachable workers are reported. A group
// that breaks under it costs nothing but time: the workers are called again,
// one by one.
absl::StatusOr<ForwardExchange> ExchangeForward(
    const ExchangeContext& context, const DispatchPlan& plan,
    const TokenRoutes& routes, const Tensor& x,
    std::optional<MicrobatchKey> keep);

// The same, but a group that breaks is an error, UNAVAILABLE: some of its
// members may have added to their gradients.
absl::StatusOr<BackwardExchange> ExchangeBackward(
    const ExchangeContext& context, const DispatchPlan& plan,
    const TokenRoutes& routes, const Tensor& grad_y, MicrobatchKey key);

// Reports the worker if `status`, which its group answered, says that it could
// not be reached. Returns the status as it is: groups name their workers.
absl::Status ReportIfLost(const ExchangeContext& context, int32_t worker_idx,
                          const absl::Status& status);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_EXPERT_EXCHANGE_H_
