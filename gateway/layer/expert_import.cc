#include "gateway/layer/expert_import.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gateway/fan_out.h"

namespace switchyard {
namespace {

// The worker does not get at the folder; its experts can still be written.
bool IsRefusal(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsNotFound(status) ||
         absl::IsFailedPrecondition(status);
}

// [worker] the experts of the request that it hosts.
std::vector<std::vector<int32_t>> ExpertsByWorker(
    const ExchangeContext& context, const ImportParametersRequest& request) {
  std::vector<std::vector<int32_t>> by_worker(
      context.membership.placement.workers().size());
  for (const int32_t expert : request.expert_ids) {
    for (const int32_t w : context.membership.placement.replicas(expert)) {
      by_worker[static_cast<size_t>(w)].push_back(expert);
    }
  }
  return by_worker;
}

}  // namespace

absl::StatusOr<ImportParametersResult> ImportExperts(
    const ExchangeContext& context, const ImportParametersRequest& request) {
  const std::vector<std::vector<int32_t>> by_worker =
      ExpertsByWorker(context, request);
  std::vector<size_t> asked;
  std::vector<ImportExpertsRequest> requests;
  for (size_t w = 0; w < by_worker.size(); ++w) {
    if (by_worker[w].empty()) continue;
    asked.push_back(w);
    requests.push_back({.layer = context.spec.name,
                        .directory = request.directory,
                        .fingerprint = request.fingerprint,
                        .expert_ids = by_worker[w]});
  }
  FanOut<absl::Status> fan_out(asked.size());
  for (size_t i = 0; i < asked.size(); ++i) {
    context.membership.groups[asked[i]]->ImportExperts(
        requests[i], context.call, fan_out.Done(i));
  }
  const std::vector<absl::Status> answers = fan_out.Wait();

  ImportParametersResult result;
  std::vector<bool> refused(by_worker.size(), false);
  for (size_t i = 0; i < asked.size(); ++i) {
    if (answers[i].ok()) continue;
    if (!IsRefusal(answers[i])) {
      return ReportIfLost(context, static_cast<int32_t>(asked[i]), answers[i]);
    }
    refused[asked[i]] = true;
    result.refusals.push_back(std::string(answers[i].message()));
  }
  for (const int32_t expert : request.expert_ids) {
    const std::vector<int32_t>& replicas =
        context.membership.placement.replicas(expert);
    const bool complete =
        !replicas.empty() &&
        std::none_of(replicas.begin(), replicas.end(), [&refused](int32_t w) {
          return refused[static_cast<size_t>(w)];
        });
    if (complete) result.imported_expert_ids.push_back(expert);
  }
  return result;
}

}  // namespace switchyard
