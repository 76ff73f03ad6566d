#ifndef SWITCHYARD_GATEWAY_ROUTING_LOCAL_GROUPS_H_
#define SWITCHYARD_GATEWAY_ROUTING_LOCAL_GROUPS_H_

#include <cstdint>
#include <vector>

#include "common/model/layer_spec.h"

namespace switchyard {

// Tokens begin ... end - 1 of a batch.
struct TokenRun {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

// Cuts [begin, end) into runs of `length` (0: no cut); the last may be shorter.
std::vector<TokenRun> CutRuns(TokenRun all, int64_t length);

// The runs inside which capacity counts (GShard's local groups): one unless the
// layer wants groups. No tokens: one empty run.
std::vector<TokenRun> LocalGroups(const CapacitySpec& capacity,
                                  int64_t num_tokens,
                                  int64_t tokens_per_sequence);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_LOCAL_GROUPS_H_
