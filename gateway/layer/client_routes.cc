#include "gateway/layer/client_routes.h"

#include <algorithm>
#include <cstddef>

namespace switchyard {

RoutingDecision TakeClientRoutes(const ForwardRequest& request,
                                 int32_t num_experts) {
  RoutingDecision decision;
  decision.num_tokens = request.x.rows();
  decision.k = static_cast<int32_t>(
      static_cast<int64_t>(request.topk_ids.size()) / decision.num_tokens);
  decision.expert_ids = request.topk_ids;
  decision.weights = request.topk_weights;
  decision.slots.assign(request.topk_ids.size(), 0);
  decision.expert_counts.assign(static_cast<size_t>(num_experts), 0);
  for (size_t entry = 0; entry < request.topk_ids.size(); ++entry) {
    const int32_t expert = request.topk_ids[entry];
    if (expert < 0) {
      decision.weights[entry] = 0.0f;
      continue;
    }
    int64_t& count = decision.expert_counts[static_cast<size_t>(expert)];
    decision.slots[entry] = static_cast<int32_t>(count++);
  }
  decision.kept_counts = decision.expert_counts;
  decision.capacity = *std::max_element(decision.expert_counts.begin(),
                                        decision.expert_counts.end());
  return decision;
}

}  // namespace switchyard
