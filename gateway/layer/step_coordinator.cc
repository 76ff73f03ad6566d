#include "gateway/layer/step_coordinator.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/parameters.h"
#include "gateway/fan_out.h"
#include "gateway/layer/parameter_access.h"

namespace switchyard {
namespace {

StepKey KeyOf(const ExchangeContext& context, uint64_t step) {
  return {.layer = context.spec.name,
          .generation = context.membership.generation,
          .step = step};
}

absl::Status CheckFinite(int32_t expert_id, double squared_norm) {
  if (std::isfinite(squared_norm)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("gradient of expert ", expert_id,
                   " is not finite, expected finite gradients; send Step with "
                   "discard to go on"));
}

// Splits the parameters of some experts into ranges and calls `fn` with pages
// of at most kMaxPageBytes.
template <typename Fn>
absl::Status ForEachPage(const LayerSpec& spec,
                         const std::vector<int32_t>& experts, Fn fn) {
  const int64_t page_elements =
      kMaxPageBytes / static_cast<int64_t>(sizeof(float));
  std::vector<ParameterRange> page;
  int64_t num_in_page = 0;
  for (const int32_t expert : experts) {
    for (const ParameterSpec& parameter : ExpertParameters(spec, expert)) {
      for (int64_t offset = 0; offset < parameter.num_elements();) {
        const int64_t num_elements = std::min(parameter.num_elements() - offset,
                                              page_elements - num_in_page);
        page.push_back({parameter.name, offset, num_elements});
        offset += num_elements;
        num_in_page += num_elements;
        if (num_in_page < page_elements) continue;
        SWITCHYARD_RETURN_IF_ERROR(fn(page));
        page.clear();
        num_in_page = 0;
      }
    }
  }
  return page.empty() ? absl::OkStatus() : fn(page);
}

// Part 3. Squared norm by expert, of replicated ones only.
absl::StatusOr<std::map<int32_t, double>> SumReplicaGradients(
    const ExchangeContext& context) {
  const Placement& placement = context.membership.placement;
  std::map<std::vector<int32_t>, std::vector<int32_t>> experts_by_workers;
  for (int32_t e = 0; e < placement.num_experts(); ++e) {
    if (placement.replicas(e).size() > 1) {
      experts_by_workers[placement.replicas(e)].push_back(e);
    }
  }
  std::map<int32_t, double> squared_norms;
  for (const auto& [workers, experts] : experts_by_workers) {
    const auto sum_page =
        [&, &replicas = workers](
            const std::vector<ParameterRange>& ranges) -> absl::Status {
      SWITCHYARD_ASSIGN_OR_RETURN(
          const std::vector<ParameterSlice> sums,
          ReadSummedGradients(context, replicas, ranges));
      for (const ParameterSlice& slice : sums) {
        SWITCHYARD_ASSIGN_OR_RETURN(const ParameterSpec parameter,
                                    FindParameter(context.spec, slice.name));
        double& squared_norm = squared_norms[parameter.expert_id];
        for (const float g : slice.values) squared_norm += double{g} * g;
        SWITCHYARD_RETURN_IF_ERROR(
            CheckFinite(parameter.expert_id, squared_norm));
      }
      return WriteToWorkers(context, replicas, sums, ParameterKind::kGradient);
    };
    SWITCHYARD_RETURN_IF_ERROR(ForEachPage(context.spec, experts, sum_page));
  }
  return squared_norms;
}

// One call per worker of the layer. All are waited for.
template <typename Result, typename Call>
std::vector<Result> CallAllWorkers(const ExchangeContext& context, Call call) {
  const auto& groups = context.membership.groups;
  FanOut<Result> fan_out(groups.size());
  for (size_t w = 0; w < groups.size(); ++w) {
    call(*groups[w], fan_out.Done(w));
  }
  return fan_out.Wait();
}

void ReportUnconfirmed(const ExchangeContext& context,
                       const std::vector<absl::Status>& answers) {
  for (size_t w = 0; w < answers.size(); ++w) {
    if (answers[w].ok()) continue;
    context.report_lost(context.membership.placement.workers()[w],
                        context.membership.groups[w].get(), answers[w]);
  }
}

}  // namespace

absl::StatusOr<double> PrepareExperts(const ExchangeContext& context,
                                      uint64_t step) {
  const StepKey key = KeyOf(context, step);
  const auto answers = CallAllWorkers<absl::StatusOr<PrepareStepResult>>(
      context, [&](ExpertGroup& group, auto done) {
        group.PrepareStep(key, context.call, std::move(done));
      });
  absl::Status first_error;
  for (size_t w = 0; w < answers.size(); ++w) {
    if (answers[w].ok()) continue;
    const absl::Status error =
        ReportIfLost(context, static_cast<int32_t>(w), answers[w].status());
    if (first_error.ok()) first_error = error;
  }
  SWITCHYARD_RETURN_IF_ERROR(first_error);

  // By expert, so that the sum does not depend on the placement.
  SWITCHYARD_ASSIGN_OR_RETURN(auto squared_norms, SumReplicaGradients(context));
  for (const absl::StatusOr<PrepareStepResult>& answer : answers) {
    for (const ExpertGradientSummary& summary : answer->experts) {
      squared_norms.emplace(summary.expert_id, summary.squared_norm);
    }
  }
  double squared_norm = 0;
  for (const auto& [expert_id, expert_squared_norm] : squared_norms) {
    SWITCHYARD_RETURN_IF_ERROR(CheckFinite(expert_id, expert_squared_norm));
    squared_norm += expert_squared_norm;
  }
  return squared_norm;
}

void CommitExperts(const ExchangeContext& context, uint64_t step,
                   float learning_rate) {
  const StepKey key = KeyOf(context, step);
  ReportUnconfirmed(
      context,
      CallAllWorkers<absl::Status>(context, [&](ExpertGroup& group, auto done) {
        group.CommitStep(key, learning_rate, context.call, std::move(done));
      }));
}

void AbortExperts(const ExchangeContext& context, uint64_t step) {
  const StepKey key = KeyOf(context, step);
  ReportUnconfirmed(
      context,
      CallAllWorkers<absl::Status>(context, [&](ExpertGroup& group, auto done) {
        group.AbortStep(key, context.call, std::move(done));
      }));
}

}  // namespace switchyard
