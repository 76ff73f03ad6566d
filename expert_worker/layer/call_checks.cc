#include "expert_worker/layer/call_checks.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

absl::Status CheckNumRoutes(absl::string_view field, size_t got,
                            size_t expected) {
  if (got == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": got ", got, " entries, expected ", expected,
                   " as in route_tokens"));
}

absl::Status CheckRouteTokens(const std::vector<int32_t>& route_tokens,
                              int64_t num_tokens) {
  int32_t previous = 0;
  for (size_t i = 0; i < route_tokens.size(); ++i) {
    const int32_t token = route_tokens[i];
    if (token < 0 || token >= num_tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("route_tokens[", i, "]: got ", token,
                       ", expected a row of x, which has ", num_tokens));
    }
    if (token < previous) {
      return absl::InvalidArgumentError(
          absl::StrCat("route_tokens[", i, "]: got ", token, " after ",
                       previous, ", expected routes ordered by token"));
    }
    previous = token;
  }
  return absl::OkStatus();
}

absl::Status CheckExpertId(absl::string_view field, size_t position,
                           int32_t expert_id, int32_t num_hosted_experts) {
  if (expert_id >= 0 && expert_id < num_hosted_experts) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, "[", position, "]: got ", expert_id,
                   ", expected 0 to ", num_hosted_experts - 1));
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> CheckExpertIds(
    const LoadExpertsRequest& request) {
  for (size_t i = 0; i < request.expert_ids.size(); ++i) {
    SWITCHYARD_RETURN_IF_ERROR(
        CheckExpertId("expert_ids", i, request.expert_ids[i],
                      request.spec.num_hosted_experts()));
  }
  return SortExpertIds(request.expert_ids);
}

absl::StatusOr<std::vector<int32_t>> SortExpertIds(
    std::vector<int32_t> expert_ids) {
  std::sort(expert_ids.begin(), expert_ids.end());
  const auto repeated =
      std::adjacent_find(expert_ids.begin(), expert_ids.end());
  if (repeated != expert_ids.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expert_ids: got ", *repeated, " twice, expected each once"));
  }
  return expert_ids;
}

absl::Status CheckForward(const ExpertForwardRequest& request,
                          const LayerSpec& spec) {
  SWITCHYARD_RETURN_IF_ERROR(
      CheckTokens("x", request.x, /*num_tokens=*/-1, spec.hidden_size));
  const size_t num_routes = request.route_tokens.size();
  SWITCHYARD_RETURN_IF_ERROR(CheckNumRoutes(
      "route_experts", request.route_experts.size(), num_routes));
  SWITCHYARD_RETURN_IF_ERROR(CheckNumRoutes(
      "route_weights", request.route_weights.size(), num_routes));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckRouteTokens(request.route_tokens, request.x.rows()));
  for (size_t i = 0; i < num_routes; ++i) {
    SWITCHYARD_RETURN_IF_ERROR(CheckExpertId("route_experts", i,
                                             request.route_experts[i],
                                             spec.num_hosted_experts()));
  }
  return absl::OkStatus();
}

absl::Status CheckTokens(absl::string_view field, const Tensor& tensor,
                         int64_t num_tokens, int64_t hidden_size) {
  const Shape& shape = tensor.shape();
  if (shape.size() == 2 && shape[1] == hidden_size &&
      (num_tokens < 0 || shape[0] == num_tokens)) {
    return absl::OkStatus();
  }
  const std::string tokens =
      num_tokens < 0 ? "tokens" : absl::StrCat(num_tokens);
  return absl::InvalidArgumentError(
      absl::StrCat(field, ".shape: got ", ShapeToString(shape), ", expected [",
                   tokens, ", ", hidden_size, "]"));
}

}  // namespace switchyard
