#include "gateway/routing/local_groups.h"

#include <algorithm>

namespace switchyard {

std::vector<TokenRun> CutRuns(TokenRun all, int64_t length) {
  if (length <= 0 || length >= all.size()) return {all};
  std::vector<TokenRun> runs;
  for (int64_t begin = all.begin; begin < all.end; begin += length) {
    runs.push_back({begin, std::min(begin + length, all.end)});
  }
  return runs;
}

std::vector<TokenRun> LocalGroups(const CapacitySpec& capacity,
                                  int64_t num_tokens,
                                  int64_t tokens_per_sequence) {
  return CutRuns({0, num_tokens}, capacity.per_sequence
                                      ? tokens_per_sequence
                                      : capacity.local_group_tokens);
}

}  // namespace switchyard
