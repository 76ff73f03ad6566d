#ifndef SWITCHYARD_GATEWAY_ROUTING_EXPERT_CHOICE_H_
#define SWITCHYARD_GATEWAY_ROUTING_EXPERT_CHOICE_H_

#include <cstdint>
#include <vector>

#include "gateway/routing/gate_scores.h"
#include "gateway/routing/local_groups.h"

namespace switchyard {

struct ChosenTokens {
  // The most experts that chose one token, at least 1.
  int32_t k = 1;
  // [tokens * k] ids of the experts that chose the token, rising; -1 after the
  // last.
  std::vector<int32_t> expert_ids;
};

// Expert choice (Zhou et al., 2022, arXiv 2202.09368): in each run of tokens
// every expert takes its `capacity` tokens of largest score, or all if there
// are fewer. Ties go to the lowest token; tokens with non-finite logits are
// every expert's last.
ChosenTokens SelectByExperts(const GateScores& scores,
                             const std::vector<TokenRun>& runs,
                             const std::vector<int64_t>& capacities);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_EXPERT_CHOICE_H_
