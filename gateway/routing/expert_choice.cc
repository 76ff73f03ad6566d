#include "gateway/routing/expert_choice.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace switchyard {
namespace {

// Calls visit(expert, token), experts rising.
template <typename Visit>
void VisitChoices(const GateScores& scores, TokenRun run, int64_t capacity,
                  Visit visit) {
  std::vector<int64_t> tokens(static_cast<size_t>(run.end - run.begin));
  const int64_t num_taken =
      std::min(capacity, static_cast<int64_t>(tokens.size()));
  for (int64_t expert = 0; expert < scores.values.cols(); ++expert) {
    std::iota(tokens.begin(), tokens.end(), run.begin);
    // A NaN is below everything.
    const auto key = [&scores, expert](int64_t token) {
      const float score = scores.values.row(token)[expert];
      return std::isnan(score) ? -1.0f : score;
    };
    std::nth_element(tokens.begin(), tokens.begin() + num_taken, tokens.end(),
                     [&key](int64_t a, int64_t b) {
                       return key(a) > key(b) || (key(a) == key(b) && a < b);
                     });
    for (int64_t i = 0; i < num_taken; ++i) {
      visit(static_cast<int32_t>(expert), tokens[static_cast<size_t>(i)]);
    }
  }
}

}  // namespace

ChosenTokens SelectByExperts(const GateScores& scores,
                             const std::vector<TokenRun>& runs,
                             const std::vector<int64_t>& capacities) {
  const size_t num_tokens = static_cast<size_t>(scores.values.rows());
  std::vector<int32_t> num_experts(num_tokens, 0);
  for (size_t i = 0; i < runs.size(); ++i) {
    VisitChoices(scores, runs[i], capacities[i],
                 [&num_experts](int32_t, int64_t token) {
                   ++num_experts[static_cast<size_t>(token)];
                 });
  }
  ChosenTokens chosen;
  for (const int32_t count : num_experts) chosen.k = std::max(chosen.k, count);
  const size_t k = static_cast<size_t>(chosen.k);
  chosen.expert_ids.assign(num_tokens * k, -1);
  std::vector<size_t> next(num_tokens, 0);
  for (size_t i = 0; i < runs.size(); ++i) {
    VisitChoices(scores, runs[i], capacities[i],
                 [&](int32_t expert, int64_t token) {
                   const size_t t = static_cast<size_t>(token);
                   chosen.expert_ids[t * k + next[t]++] = expert;
                 });
  }
  return chosen;
}

}  // namespace switchyard
