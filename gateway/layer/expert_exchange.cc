#include "gateway/layer/expert_exchange.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "gateway/dispatch/combine.h"
#include "gateway/layer/fan_out.h"

namespace switchyard {
namespace {

const std::string& WorkerIdOf(const ExchangeContext& context,
                              const GroupDispatch& group) {
  return context.membership.placement
      .workers()[static_cast<size_t>(group.worker_idx)];
}

// An answer of another shape is the worker's fault: it costs this request.
absl::Status CheckAnswer(const ExchangeContext& context,
                         const GroupDispatch& group, const Tensor& rows) {
  const size_t num_rows = context.spec.exact_combine
                              ? group.route_entries.size()
                              : group.token_idx.size();
  if (rows.num_elements() ==
          static_cast<int64_t>(num_rows) * context.spec.hidden_size &&
      rows.cols() == context.spec.hidden_size) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      "worker '", WorkerIdOf(context, group), "' answered with shape ",
      ShapeToString(rows.shape()), ", expected [", num_rows, ", ",
      context.spec.hidden_size, "]"));
}

// The answers of all groups, or the first error after all have answered.
template <typename Result>
absl::StatusOr<std::vector<Result>> Collect(
    const ExchangeContext& context, const DispatchPlan& plan,
    std::vector<absl::StatusOr<Result>> answers) {
  absl::Status first_error;
  std::vector<Result> results;
  for (size_t g = 0; g < answers.size(); ++g) {
    if (answers[g].ok()) {
      results.push_back(*std::move(answers[g]));
      continue;
    }
    const absl::Status error =
        ReportIfLost(context, plan.groups[g].worker_idx, answers[g].status());
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

ExpertGroup& GroupOf(const ExchangeContext& context,
                     const GroupDispatch& group) {
  return *context.membership.groups[static_cast<size_t>(group.worker_idx)];
}

// The group's rows of the batch, where it likes to have them.
Tensor RowsFor(const ExchangeContext& context, const GroupDispatch& group,
               const Tensor& batch) {
  return GatherRows(batch, group, [&](const Shape& shape) {
    return GroupOf(context, group).AllocateTokens(shape);
  });
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
  const Stopwatch plan_stopwatch;
  std::vector<ExpertForwardRequest> requests(plan.groups.size());
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    const GroupDispatch& group = plan.groups[g];
    requests[g] = {.layer = context.spec.name,
                   .generation = context.membership.generation,
                   .keep = keep,
                   .exact_combine = context.spec.exact_combine,
                   .route_tokens = group.route_tokens,
                   .route_experts = group.route_experts,
                   .route_weights = group.route_weights,
                   .x = RowsFor(context, group, x)};
  }
  context.metrics.ObserveStage(Stage::kPlan, plan_stopwatch.ElapsedUs());

  const Stopwatch wait_stopwatch;
  FanOut<absl::StatusOr<ExpertForwardResult>> fan_out(plan.groups.size());
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    GroupOf(context, plan.groups[g])
        .Forward(requests[g], context.call, fan_out.Done(g));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(std::vector<ExpertForwardResult> results,
                              Collect(context, plan, fan_out.Wait()));
  ForwardExchange exchange;
  exchange.timing.wait_us = wait_stopwatch.ElapsedUs();
  context.metrics.ObserveStage(Stage::kExperts, exchange.timing.wait_us);

  std::vector<Tensor> rows;
  for (size_t g = 0; g < results.size(); ++g) {
    if (absl::Status status =
            CheckAnswer(context, plan.groups[g], results[g].y);
        !status.ok()) {
      return status;
    }
    exchange.timing.compute_us =
        std::max(exchange.timing.compute_us, results[g].compute_us);
    rows.push_back(std::move(results[g].y));
  }
  // Weights on the experts' inputs are in the rows already.
  const bool on_input =
      context.spec.gate.weight_application == WeightApplication::kInput;
  exchange.y = Combine(
      context, plan, routes, std::move(rows),
      on_input ? RouteWeighting::kAlreadyWeighed : RouteWeighting::kWeigh);
  return exchange;
}

absl::StatusOr<BackwardExchange> ExchangeBackward(
    const ExchangeContext& context, const DispatchPlan& plan,
    const TokenRoutes& routes, const Tensor& grad_y, MicrobatchKey key) {
  std::vector<ExpertBackwardRequest> requests(plan.groups.size());
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    requests[g] = {.layer = context.spec.name,
                   .generation = context.membership.generation,
                   .key = key,
                   .grad_y = RowsFor(context, plan.groups[g], grad_y)};
  }
  const Stopwatch wait_stopwatch;
  FanOut<absl::StatusOr<ExpertBackwardResult>> fan_out(plan.groups.size());
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    GroupOf(context, plan.groups[g])
        .Backward(requests[g], context.call, fan_out.Done(g));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(std::vector<ExpertBackwardResult> results,
                              Collect(context, plan, fan_out.Wait()));
  BackwardExchange exchange;
  exchange.timing.wait_us = wait_stopwatch.ElapsedUs();
  context.metrics.ObserveStage(Stage::kExperts, exchange.timing.wait_us);

  exchange.route_dots.assign(routes.expert_ids.size(), 0.0f);
  std::vector<Tensor> rows;
  for (size_t g = 0; g < results.size(); ++g) {
    const GroupDispatch& group = plan.groups[g];
    absl::Status status = CheckAnswer(context, group, results[g].grad_x);
    if (results[g].route_dots.size() != group.route_entries.size()) {
      status.Update(absl::InternalError(
          absl::StrCat("worker '", WorkerIdOf(context, group),
                       "' answered with ", results[g].route_dots.size(),
                       " route_dots, expected ", group.route_entries.size())));
    }
    if (!status.ok()) return status;
    for (size_t r = 0; r < group.route_entries.size(); ++r) {
      exchange.route_dots[static_cast<size_t>(group.route_entries[r])] =
          results[g].route_dots[r];
    }
    exchange.timing.compute_us =
        std::max(exchange.timing.compute_us, results[g].compute_us);
    rows.push_back(std::move(results[g].grad_x));
  }
  exchange.grad_x = Combine(context, plan, routes, std::move(rows),
                            RouteWeighting::kAlreadyWeighed);
  return exchange;
}

}  // namespace switchyard
