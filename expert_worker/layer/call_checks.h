// What a worker checks of calls before it does anything: pure functions.
#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_CALL_CHECKS_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_CALL_CHECKS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/api/expert_calls.h"
#include "common/model/layer_spec.h"

namespace switchyard {

// The expert ids of a LoadExperts, rising. INVALID_ARGUMENT if one is not the
// layer's (routed, or the dense branch), or is there twice. None at all is
// fine.
absl::StatusOr<std::vector<int32_t>> CheckExpertIds(
    const LoadExpertsRequest& request);

// By rising id; each at most once.
absl::StatusOr<std::vector<int32_t>> SortExpertIds(
    std::vector<int32_t> expert_ids);

// INVALID_ARGUMENT, naming the field, unless x is [tokens, hidden_size], the
// route vectors have one length, route_tokens are rows of x that do not
// decrease, and route_experts are experts of the layer, the dense branch
// included.
absl::Status CheckForward(const ExpertForwardRequest& request,
                          const LayerSpec& spec);

// INVALID_ARGUMENT unless `tensor` is [num_tokens, hidden_size]; num_tokens < 0
// stands for any number.
absl::Status CheckTokens(absl::string_view field, const Tensor& tensor,
                         int64_t num_tokens, int64_t hidden_size);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_CALL_CHECKS_H_
