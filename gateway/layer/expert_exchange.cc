#include "gateway/layer/expert_exchange.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "gateway/dispatch/combine.h"
#include "gateway/fan_out.h"
#include "gateway/layer/exchange_legs.h"

namespace switchyard {
namespace {

// An answer of another shape is the worker's fault: it costs this request.
absl::Status CheckAnswer(const ExchangeContext& context, const ExchangeLeg& leg,
                         const GroupDispatch& sent, const Tensor& rows) {
  const size_t num_rows = context.spec.exact_combine ? sent.route_entries.size()
                                                     : sent.token_idx.size();
  if (rows.num_elements() ==
          static_cast<int64_t>(num_rows) * context.spec.hidden_size &&
      rows.cols() == context.spec.hidden_size) {
    return absl::OkStatus();
  }
  return absl::InternalError(
      absl::StrCat("worker '", leg.worker_id, "' answered with shape ",
                   ShapeToString(rows.shape()), ", expected [", num_rows, ", ",
                   context.spec.hidden_size, "]"));
}

// The answers to all legs, or the first error after all have answered.
template <typename Result>
absl::StatusOr<std::vector<Result>> Collect(
    const ExchangeContext& context, const ExchangeLegs& legs,
    std::vector<absl::StatusOr<Result>> answers) {
  absl::Status first_error;
  std::vector<Result> results;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].ok()) {
      results.push_back(*std::move(answers[i]));
      continue;
    }
    const std::optional<int32_t> worker_idx = legs.legs()[i].worker_idx;
    const absl::Status& status = answers[i].status();
    const absl::Status error = worker_idx.has_value()
                                   ? ReportIfLost(context, *worker_idx, status)
                                   : status;
    if (first_error.ok()) first_error = error;
  }
  if (!first_error.ok()) return first_error;
  return results;
}

Tensor Combine(const ExchangeContext& context, const DispatchPlan& plan,
               const TokenRoutes& routes, std::vector<Tensor> rows,
               RouteWeighting weighting) {
  const Stopwatch stopwatch;
  Tensor sum =
      context.spec.exact_combine
          ? CombineRoutes(plan, routes, rows, context.spec.hidden_size,
                          weighting)
          : CombinePartialRows(plan, std::move(rows), routes.num_tokens,
                               context.spec.hidden_size);
  context.metrics.ObserveStage(Stage::kCombine, stopwatch.ElapsedUs());
  return sum;
}

// The leg's rows of the batch, where its worker likes to have them.
Tensor RowsFor(const ExchangeLeg& leg, const GroupDispatch& sent,
               const Tensor& batch) {
  return GatherRows(batch, sent, [&leg](const Shape& shape) {
    return leg.worker->AllocateTokens(shape);
  });
}

void CountGroupCalls(const ExchangeContext& context, const ExchangeLegs& legs,
                     const absl::Status& status) {
  if (!legs.UsesGroups()) return;
  context.metrics.CountGroupCall(status.ok() ? GroupCallOutcome::kDone
                                 : legs.HasBrokenGroup()
                                     ? GroupCallOutcome::kBroken
                                     : GroupCallOutcome::kFailed);
}

absl::StatusOr<ForwardExchange> RunForward(const ExchangeContext& context,
                                           const ExchangeLegs& legs,
                                           const TokenRoutes& routes,
                                           const Tensor& x,
                                           std::optional<MicrobatchKey> keep) {
  const Stopwatch plan_stopwatch;
  const DispatchPlan& plan = legs.plan();
  const size_t num_legs = legs.legs().size();
  std::vector<ExpertForwardRequest> requests(num_legs);
  for (size_t i = 0; i < num_legs; ++i) {
    const GroupDispatch& sent = plan.groups[i];
    const ExchangeLeg& leg = legs.legs()[i];
    requests[i] = {.layer = context.spec.name,
                   .generation = context.membership.generation,
                   .keep = keep,
                   .exact_combine = context.spec.exact_combine,
                   .route_tokens = sent.route_tokens,
                   .route_experts = sent.route_experts,
                   .route_weights = sent.route_weights,
                   .x = RowsFor(leg, sent, x),
                   .group = leg.group};
  }
  context.metrics.ObserveStage(Stage::kPlan, plan_stopwatch.ElapsedUs());

  const Stopwatch wait_stopwatch;
  FanOut<absl::StatusOr<ExpertForwardResult>> fan_out(num_legs);
  for (size_t i = 0; i < num_legs; ++i) {
    const ExchangeLeg& leg = legs.legs()[i];
    leg.worker->Forward(
        requests[i], legs.CallOf(leg, context.call),
        ExchangeLegs::Watched<ExpertForwardResult>(leg, fan_out.Done(i)));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(std::vector<ExpertForwardResult> results,
                              Collect(context, legs, fan_out.Wait()));
  ForwardExchange exchange;
  exchange.timing.wait_us = wait_stopwatch.ElapsedUs();
  context.metrics.ObserveStage(Stage::kExperts, exchange.timing.wait_us);

  std::vector<Tensor> rows;
  for (size_t i = 0; i < num_legs; ++i) {
    SWITCHYARD_RETURN_IF_ERROR(
        CheckAnswer(context, legs.legs()[i], plan.groups[i], results[i].y));
    exchange.timing.compute_us =
        std::max(exchange.timing.compute_us, results[i].compute_us);
    rows.push_back(std::move(results[i].y));
  }
  // Weights on the experts' inputs are in the rows already.
  const bool on_input =
      context.spec.gate.weight_application == WeightApplication::kInput;
  exchange.y = Combine(
      context, plan, routes, std::move(rows),
      on_input ? RouteWeighting::kAlreadyWeighed : RouteWeighting::kWeigh);
  return exchange;
}

absl::StatusOr<BackwardExchange> RunBackward(const ExchangeContext& context,
                                             const ExchangeLegs& legs,
                                             const TokenRoutes& routes,
                                             const Tensor& grad_y,
                                             MicrobatchKey key) {
  const DispatchPlan& plan = legs.plan();
  const size_t num_legs = legs.legs().size();
  std::vector<ExpertBackwardRequest> requests(num_legs);
  for (size_t i = 0; i < num_legs; ++i) {
    const ExchangeLeg& leg = legs.legs()[i];
    requests[i] = {.layer = context.spec.name,
                   .generation = context.membership.generation,
                   .key = key,
                   .grad_y = RowsFor(leg, plan.groups[i], grad_y),
                   .group = leg.group};
    if (!leg.group.has_value()) continue;
    requests[i].exact_combine = context.spec.exact_combine;
    requests[i].route_tokens = plan.groups[i].route_tokens;
  }
  const Stopwatch wait_stopwatch;
  FanOut<absl::StatusOr<ExpertBackwardResult>> fan_out(num_legs);
  for (size_t i = 0; i < num_legs; ++i) {
    const ExchangeLeg& leg = legs.legs()[i];
    leg.worker->Backward(
        requests[i], legs.CallOf(leg, context.call),
        ExchangeLegs::Watched<ExpertBackwardResult>(leg, fan_out.Done(i)));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(std::vector<ExpertBackwardResult> results,
                              Collect(context, legs, fan_out.Wait()));
  BackwardExchange exchange;
  exchange.timing.wait_us = wait_stopwatch.ElapsedUs();
  context.metrics.ObserveStage(Stage::kExperts, exchange.timing.wait_us);

  exchange.route_dots.assign(routes.expert_ids.size(), 0.0f);
  std::vector<Tensor> rows;
  for (size_t i = 0; i < num_legs; ++i) {
    const GroupDispatch& sent = plan.groups[i];
    const ExchangeLeg& leg = legs.legs()[i];
    SWITCHYARD_RETURN_IF_ERROR(
        CheckAnswer(context, leg, sent, results[i].grad_x));
    if (results[i].route_dots.size() != sent.route_entries.size()) {
      return absl::InternalError(
          absl::StrCat("worker '", leg.worker_id, "' answered with ",
                       results[i].route_dots.size(), " route_dots, expected ",
                       sent.route_entries.size()));
    }
    for (size_t r = 0; r < sent.route_entries.size(); ++r) {
      exchange.route_dots[static_cast<size_t>(sent.route_entries[r])] =
          results[i].route_dots[r];
    }
    exchange.timing.compute_us =
        std::max(exchange.timing.compute_us, results[i].compute_us);
    rows.push_back(std::move(results[i].grad_x));
  }
  exchange.grad_x = Combine(context, plan, routes, std::move(rows),
                            RouteWeighting::kAlreadyWeighed);
  return exchange;
}

}  // namespace

absl::Status ReportIfLost(const ExchangeContext& context, int32_t worker_idx,
                          const absl::Status& status) {
  if (absl::IsUnavailable(status)) {
    const size_t w = static_cast<size_t>(worker_idx);
    context.report_lost(context.membership.placement.workers()[w],
                        context.membership.groups[w].get(), status);
  }
  return status;
}

absl::StatusOr<ForwardExchange> ExchangeForward(
    const ExchangeContext& context, const DispatchPlan& plan,
    const TokenRoutes& routes, const Tensor& x,
    std::optional<MicrobatchKey> keep) {
  {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const ExchangeLegs legs,
        ExchangeLegs::ThroughGroups(context, plan, routes));
    absl::StatusOr<ForwardExchange> exchange =
        RunForward(context, legs, routes, x, keep);
    CountGroupCalls(context, legs, exchange.status());
    if (exchange.ok() || !legs.HasBrokenGroup()) return exchange;
  }
  return RunForward(context, ExchangeLegs::Alone(context, plan), routes, x,
                    keep);
}

absl::StatusOr<BackwardExchange> ExchangeBackward(
    const ExchangeContext& context, const DispatchPlan& plan,
    const TokenRoutes& routes, const Tensor& grad_y, MicrobatchKey key) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const ExchangeLegs legs,
      ExchangeLegs::ThroughGroups(context, plan, routes));
  absl::StatusOr<BackwardExchange> exchange =
      RunBackward(context, legs, routes, grad_y, key);
  CountGroupCalls(context, legs, exchange.status());
  return exchange;
}

}  // namespace switchyard
