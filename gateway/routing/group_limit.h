#ifndef SWITCHYARD_GATEWAY_ROUTING_GROUP_LIMIT_H_
#define SWITCHYARD_GATEWAY_ROUTING_GROUP_LIMIT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/model/gate_spec.h"

namespace switchyard {

// Restricts the choice of one token after another to the experts of its best
// groups (DeepSeek-V2, arXiv 2405.04434, section 2.2.2). Keeps working memory
// from token to token: thread-compatible.
class GroupLimit {
 public:
  // `k`: routes per token, for GroupScore::kTopSum.
  GroupLimit(const GroupLimitSpec& spec, int32_t num_experts, int32_t k);

  // Masks the keys [num_experts] of the experts outside the best groups with
  // -inf or 0. Ties between groups go to the lowest.
  void Mask(absl::Span<float> keys);

 private:
  float GroupKey(absl::Span<const float> keys);

  const GroupLimitSpec spec_;
  const size_t group_size_;
  // Of the largest keys that a group's key is the sum of.
  const size_t num_summed_;
  std::vector<float> sorted_;
  std::vector<float> group_keys_;
  std::vector<size_t> ranking_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_GROUP_LIMIT_H_
