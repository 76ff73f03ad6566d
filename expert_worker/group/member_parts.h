#ifndef SWITCHYARD_EXPERT_WORKER_GROUP_MEMBER_PARTS_H_
#define SWITCHYARD_EXPERT_WORKER_GROUP_MEMBER_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace switchyard {

// What one member of a group sends to another: some of its tokens, each once,
// in order, and the routes of theirs that go there.
struct MemberPart {
  // Rows of the sender's tokens.
  std::vector<int32_t> tokens;
  // Positions among the sender's routes, and the row in `tokens` of each.
  std::vector<size_t> routes;
  std::vector<int32_t> route_tokens;
};

// Splits routes, which are ordered by token, by the rank that each goes to: a
// part for each of `size` ranks. INVALID_ARGUMENT, naming the field, unless
// there is one rank of the group for each route and `route_tokens` are rows of
// `num_tokens` that do not decrease.
absl::StatusOr<std::vector<MemberPart>> SplitByRank(
    absl::Span<const int32_t> route_tokens,
    absl::Span<const int32_t> route_ranks, int64_t num_tokens, int size);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_GROUP_MEMBER_PARTS_H_
