#include "expert_worker/group/member_parts.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace switchyard {

absl::StatusOr<std::vector<MemberPart>> SplitByRank(
    absl::Span<const int32_t> route_tokens,
    absl::Span<const int32_t> route_ranks, int64_t num_tokens, int size) {
  if (route_ranks.size() != route_tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("group.route_ranks: got ", route_ranks.size(),
                     " entries, expected ", route_tokens.size()));
  }
  std::vector<MemberPart> parts(static_cast<size_t>(size));
  int32_t last_token = 0;
  for (size_t route = 0; route < route_tokens.size(); ++route) {
    const int32_t token = route_tokens[route];
    const int32_t rank = route_ranks[route];
    if (token < last_token || token >= num_tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("route_tokens[", route, "]: got ", token, ", expected ",
                       last_token, " to ", num_tokens - 1, ", rising"));
    }
    if (rank < 0 || rank >= size) {
      return absl::InvalidArgumentError(
          absl::StrCat("group.route_ranks[", route, "]: got ", rank,
                       ", expected 0 to ", size - 1));
    }
    last_token = token;
    MemberPart& part = parts[static_cast<size_t>(rank)];
    if (part.tokens.empty() || part.tokens.back() != token) {
      part.tokens.push_back(token);
    }
    part.routes.push_back(route);
    part.route_tokens.push_back(static_cast<int32_t>(part.tokens.size()) - 1);
  }
  return parts;
}

}  // namespace switchyard
