// A slow gate in float64 that follows the rules of router.h one expert and one
// token at a time, for tests. It shares no code with the router.
#ifndef SWITCHYARD_GATEWAY_ROUTING_REFERENCE_GATE_H_
#define SWITCHYARD_GATEWAY_ROUTING_REFERENCE_GATE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "common/model/layer_spec.h"

namespace switchyard::testing {

using Matrix = std::vector<std::vector<double>>;

struct ReferenceInput {
  GateSpec gate;
  // Negative: dropless.
  int64_t capacity = -1;
  Matrix logits;
  // Empty: no noise, no random token selection, all tokens used.
  Matrix gumbel;
  Matrix rts_uniform;
  std::vector<bool> used_tokens;
};

struct ReferenceRouting {
  Matrix probabilities;
  // [tokens][k].
  std::vector<std::vector<int>> chosen;
  std::vector<std::vector<int>> expert_ids;
  std::vector<std::vector<int64_t>> slots;
  Matrix weights;
  std::vector<int64_t> expert_counts;
  double aux_loss = 0;
  // The smallest difference between two numbers whose order mattered. Below
  // about 1e-6 float32 may rightly decide otherwise.
  double min_gap = std::numeric_limits<double>::infinity();
};

inline Matrix ReferenceSoftmax(const Matrix& logits) {
  Matrix p = logits;
  for (std::vector<double>& row : p) {
    const double max = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (double& v : row) sum += v = std::exp(v - max);
    for (double& v : row) v /= sum;
  }
  return p;
}

// Indices of `scores`, largest first; narrows `min_gap` by the first `num_used`
// comparisons between neighbours.
inline std::vector<int> Ranking(const std::vector<double>& scores,
                                size_t num_used, double& min_gap) {
  std::vector<int> ranking(scores.size());
  for (size_t i = 0; i < ranking.size(); ++i) ranking[i] = static_cast<int>(i);
  const auto score = [&scores](int i) {
    return scores[static_cast<size_t>(i)];
  };
  std::stable_sort(ranking.begin(), ranking.end(),
                   [&score](int a, int b) { return score(a) > score(b); });
  for (size_t i = 0; i + 1 < ranking.size() && i < num_used; ++i) {
    min_gap = std::min(min_gap, score(ranking[i]) - score(ranking[i + 1]));
  }
  return ranking;
}

inline std::vector<double> Sum(const std::vector<double>& a,
                               const Matrix& noise, size_t token) {
  std::vector<double> sum = a;
  if (noise.empty()) return sum;
  for (size_t e = 0; e < sum.size(); ++e) sum[e] += noise[token][e];
  return sum;
}

inline std::vector<int> ReferenceChoice(const ReferenceInput& in, size_t token,
                                        ReferenceRouting& out) {
  const size_t k = static_cast<size_t>(in.gate.k);
  const std::vector<double>& p = out.probabilities[token];
  const std::vector<double> noisy = Sum(in.logits[token], in.gumbel, token);
  if (k == 1) {
    if (!in.used_tokens.empty() && !in.used_tokens[token]) return {-1};
    return {Ranking(noisy, 1, out.min_gap)[0]};
  }
  if (k == 2) {
    const int first = Ranking(p, 1, out.min_gap)[0];
    std::vector<double> rest = noisy;
    rest[static_cast<size_t>(first)] = -std::numeric_limits<double>::infinity();
    return {first, Ranking(rest, 1, out.min_gap)[0]};
  }
  std::vector<int> ranking = Ranking(p, k, out.min_gap);
  ranking.resize(k);
  return ranking;
}

// One expert's choosers, (token, choice), in the order in which it keeps them.
struct Chooser {
  size_t token;
  size_t choice;
};

inline std::vector<Chooser> ReferencePriority(const ReferenceInput& in,
                                              size_t expert,
                                              ReferenceRouting& out) {
  std::vector<Chooser> choosers;
  std::vector<double> scores;
  const auto add = [&](size_t token, size_t choice) {
    if (out.chosen[token][choice] != static_cast<int>(expert)) return;
    choosers.push_back({token, choice});
    scores.push_back(in.rts_uniform.empty() ? out.probabilities[token][expert]
                                            : in.rts_uniform[token][expert]);
  };
  const size_t k = static_cast<size_t>(in.gate.k);
  for (size_t major = 0; major < (k == 2 ? k : 1); ++major) {
    for (size_t token = 0; token < in.logits.size(); ++token) {
      if (k == 2) add(token, major);
      for (size_t r = 0; k != 2 && r < k; ++r) add(token, r);
    }
  }
  const bool by_score =
      k == 1 ? !in.rts_uniform.empty()
             : k > 2 && in.gate.drop_policy == DropPolicy::kProbs;
  const size_t capacity = static_cast<size_t>(in.capacity);
  if (!by_score || in.capacity < 0 || choosers.size() <= capacity) {
    return choosers;
  }
  std::vector<Chooser> sorted;
  for (const int i : Ranking(scores, scores.size(), out.min_gap)) {
    sorted.push_back(choosers[static_cast<size_t>(i)]);
  }
  // Who is kept goes by score; the slots of the kept, by token.
  std::sort(sorted.begin(), sorted.begin() + in.capacity,
            [](Chooser a, Chooser b) { return a.token < b.token; });
  return sorted;
}

inline void ReferenceWeights(ReferenceRouting& out) {
  out.weights.clear();
  for (size_t token = 0; token < out.expert_ids.size(); ++token) {
    const std::vector<int>& ids = out.expert_ids[token];
    std::vector<double> weights(ids.size(), 0.0);
    double sum = 0;
    for (size_t r = 0; r < ids.size(); ++r) {
      if (ids[r] < 0) continue;
      weights[r] = out.probabilities[token][static_cast<size_t>(ids[r])];
      sum += weights[r];
    }
    const double floor = std::numeric_limits<float>::epsilon();
    for (double& w : weights) w /= ids.size() == 1 ? 1 : std::max(sum, floor);
    out.weights.push_back(weights);
  }
}

inline double ReferenceAuxLoss(const Matrix& probabilities,
                               const std::vector<std::vector<int>>& chosen) {
  const size_t num_experts = probabilities.at(0).size();
  const size_t k = chosen.at(0).size();
  const double num_tokens = static_cast<double>(chosen.size());
  double loss = 0;
  for (size_t e = 0; e < num_experts; ++e) {
    double me = 0, ce = 0;
    for (size_t token = 0; token < chosen.size(); ++token) {
      me += probabilities[token][e] / num_tokens;
      for (size_t r = 0; r < (k == 2 ? 1 : k); ++r) {
        ce += (chosen[token][r] == static_cast<int>(e)) / num_tokens;
      }
    }
    loss += me * ce;
  }
  const double divisor = k == 2 ? 1.0 : static_cast<double>(k);
  return loss * static_cast<double>(num_experts) / divisor;
}

// At least one token.
inline ReferenceRouting ReferenceGate(const ReferenceInput& in) {
  ReferenceRouting out;
  out.probabilities = ReferenceSoftmax(in.logits);
  const size_t num_experts = in.logits.at(0).size();
  const size_t k = static_cast<size_t>(in.gate.k);
  for (size_t token = 0; token < in.logits.size(); ++token) {
    out.chosen.push_back(ReferenceChoice(in, token, out));
    out.expert_ids.push_back(std::vector<int>(k, -1));
    out.slots.push_back(std::vector<int64_t>(k, 0));
  }
  for (size_t e = 0; e < num_experts; ++e) {
    const std::vector<Chooser> choosers = ReferencePriority(in, e, out);
    out.expert_counts.push_back(static_cast<int64_t>(choosers.size()));
    for (size_t slot = 0; slot < choosers.size(); ++slot) {
      if (in.capacity >= 0 && static_cast<int64_t>(slot) >= in.capacity) break;
      const Chooser c = choosers[slot];
      out.expert_ids[c.token][c.choice] = static_cast<int>(e);
      out.slots[c.token][c.choice] = static_cast<int64_t>(slot);
    }
  }
  ReferenceWeights(out);
  out.aux_loss = ReferenceAuxLoss(out.probabilities, out.chosen);
  return out;
}

}  // namespace switchyard::testing

#endif  // SWITCHYARD_GATEWAY_ROUTING_REFERENCE_GATE_H_
