#include "gateway/dispatch/member_shares.h"

#include <cstddef>

namespace switchyard {
namespace {

constexpr int32_t kElsewhere = -1;

}  // namespace

std::vector<MemberShare> ShareAmongMembers(
    const TokenRoutes& routes, absl::Span<const RankedDispatch> parts,
    int32_t size) {
  std::vector<int32_t> entry_ranks(routes.expert_ids.size(), kElsewhere);
  std::vector<char> has_token(static_cast<size_t>(routes.num_tokens), 0);
  int64_t num_tokens = 0;
  for (const RankedDispatch& part : parts) {
    for (const int64_t entry : part.dispatch->route_entries) {
      entry_ranks[static_cast<size_t>(entry)] = part.rank;
    }
    for (const int32_t token : part.dispatch->token_idx) {
      num_tokens += has_token[static_cast<size_t>(token)] == 0 ? 1 : 0;
      has_token[static_cast<size_t>(token)] = 1;
    }
  }
  std::vector<MemberShare> shares(static_cast<size_t>(size));
  int64_t position = 0;
  for (int64_t token = 0; token < routes.num_tokens; ++token) {
    if (has_token[static_cast<size_t>(token)] == 0) continue;
    MemberShare& share =
        shares[static_cast<size_t>(position++ * size / num_tokens)];
    const auto row = static_cast<int32_t>(share.dispatch.token_idx.size());
    share.dispatch.token_idx.push_back(static_cast<int32_t>(token));
    for (int32_t choice = 0; choice < routes.k; ++choice) {
      const int64_t entry = token * routes.k + choice;
      const size_t e = static_cast<size_t>(entry);
      if (entry_ranks[e] == kElsewhere) continue;
      share.dispatch.route_tokens.push_back(row);
      share.dispatch.route_experts.push_back(routes.expert_ids[e]);
      share.dispatch.route_weights.push_back(routes.weights[e]);
      share.dispatch.route_entries.push_back(entry);
      share.route_ranks.push_back(entry_ranks[e]);
    }
  }
  return shares;
}

}  // namespace switchyard
