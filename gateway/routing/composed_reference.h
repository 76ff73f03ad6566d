// The router's steps for any GateSpec, restated in float64 one token and one
// expert at a time, for tests. It shares no code with the router.
#ifndef SWITCHYARD_GATEWAY_ROUTING_COMPOSED_REFERENCE_H_
#define SWITCHYARD_GATEWAY_ROUTING_COMPOSED_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "common/model/layer_spec.h"
#include "gateway/routing/reference_gate.h"
#include "gateway/routing/routing_decision.h"

namespace switchyard::testing {

using Row = std::vector<double>;

inline Row ComposedScores(const GateSpec& gate, const Row& logits) {
  if (gate.score_function == ScoreFunction::kSoftmax) {
    return ReferenceSoftmax({logits})[0];
  }
  Row scores;
  for (const double l : logits) {
    scores.push_back(gate.score_function == ScoreFunction::kSigmoid
                         ? 1 / (1 + std::exp(-l))
                         : std::sqrt(std::log1p(std::exp(l))));
  }
  return scores;
}

// The keys with those outside the best groups masked.
inline Row LimitToGroups(const GateSpec& gate, Row keys, double& min_gap) {
  if (!gate.group_limit.has_value()) return keys;
  const GroupLimitSpec& limit = *gate.group_limit;
  const size_t num_groups = static_cast<size_t>(limit.num_groups);
  const size_t size = keys.size() / num_groups;
  const size_t num_summed = limit.score == GroupScore::kMax ? 1
                            : limit.score == GroupScore::kTop2Sum
                                ? 2
                                : static_cast<size_t>(std::max(
                                      1, gate.k / limit.num_selected_groups));
  Row sums;
  for (size_t g = 0; g < num_groups; ++g) {
    Row group(keys.begin() + static_cast<ptrdiff_t>(g * size),
              keys.begin() + static_cast<ptrdiff_t>((g + 1) * size));
    std::sort(group.rbegin(), group.rend());
    sums.push_back(std::accumulate(
        group.begin(),
        group.begin() + static_cast<ptrdiff_t>(std::min(num_summed, size)),
        0.0));
  }
  const size_t num_selected = static_cast<size_t>(limit.num_selected_groups);
  const std::vector<int> best = Ranking(sums, num_selected, min_gap);
  for (size_t i = num_selected; i < num_groups; ++i) {
    for (size_t e = 0; e < size; ++e) {
      keys[static_cast<size_t>(best[i]) * size + e] =
          limit.mask_with_zero ? 0 : -std::numeric_limits<double>::infinity();
    }
  }
  return keys;
}

// The k best by score or logit plus bias, best first.
inline std::vector<int> ComposedChoice(const GateSpec& gate, const Row& logits,
                                       const Row& bias, double& min_gap) {
  Row keys =
      gate.rank_by == RankBy::kLogits ? logits : ComposedScores(gate, logits);
  for (size_t e = 0; e < bias.size(); ++e) keys[e] += bias[e];
  const std::vector<int> ranking = Ranking(
      LimitToGroups(gate, keys, min_gap), static_cast<size_t>(gate.k), min_gap);
  return {ranking.begin(), ranking.begin() + gate.k};
}

// Weights of one token, -1 in `kept` meaning dropped.
inline Row ComposedWeights(const GateSpec& gate, const Row& logits,
                           const std::vector<int32_t>& chosen,
                           const std::vector<int32_t>& kept) {
  const Row scores = ComposedScores(gate, logits);
  const bool chosen_softmax =
      gate.normalization == WeightNormalization::kChosenSoftmax;
  Row raw;
  double sum = 0;
  for (size_t r = 0; r < chosen.size(); ++r) {
    const size_t e = static_cast<size_t>(std::max(chosen[r], 0));
    raw.push_back(chosen[r] < 0    ? 0
                  : chosen_softmax ? std::exp(logits[e])
                                   : scores[e]);
    const bool counts = gate.normalization == WeightNormalization::kChosen ||
                        chosen_softmax || kept[r] >= 0;
    if (counts) sum += raw[r];
  }
  double floor = gate.normalization_floor;
  double epsilon = gate.normalization_epsilon;
  bool divides = gate.normalization != WeightNormalization::kNone;
  if (gate.normalization == WeightNormalization::kDeepSpeed) {
    divides = gate.k > 1;
    floor = std::numeric_limits<float>::epsilon();
    epsilon = 0;
  }
  if (chosen_softmax) floor = epsilon = 0;
  Row weights;
  for (size_t r = 0; r < chosen.size(); ++r) {
    const double divisor = divides ? std::max(sum, floor) + epsilon : 1;
    weights.push_back(
        kept[r] < 0 ? 0 : raw[r] / divisor * double{gate.scaling_factor});
  }
  return weights;
}

// What the losses of a batch look at; routes are given and constant.
struct ComposedBatch {
  const GateSpec& gate;
  Matrix logits;
  const RoutingDecision& decision;
  int64_t tokens_per_sequence = 0;
  std::vector<int64_t> step_expert_counts;
  // Added to logits for scores; empty: none.
  Matrix noise;

  size_t num_tokens() const { return logits.size(); }
  size_t num_experts() const { return logits.at(0).size(); }
  std::vector<int32_t> Part(const std::vector<int32_t>& ids,
                            size_t token) const {
    const auto begin = ids.begin() + static_cast<ptrdiff_t>(token) * decision.k;
    return {begin, begin + decision.k};
  }
  Row Noisy(size_t token) const { return Sum(logits[token], noise, token); }
};

inline Matrix ComposedProbabilities(const ComposedBatch& batch) {
  Matrix p;
  for (size_t t = 0; t < batch.num_tokens(); ++t) {
    Row row = ComposedScores(batch.gate, batch.Noisy(t));
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    for (double& v : row) v /= sum;
    p.push_back(row);
  }
  return p;
}

// E sum_e f_e P_e over tokens [begin, end), f from `counts`.
inline double Balance(const Matrix& p, size_t begin, size_t end,
                      const Row& counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (size_t e = 0; e < counts.size(); ++e) {
    double mean = 0;
    for (size_t t = begin; t < end; ++t) {
      mean += p[t][e] / static_cast<double>(end - begin);
    }
    sum += mean * counts[e] / total;
  }
  return sum * static_cast<double>(counts.size());
}

inline Row CountsOf(const ComposedBatch& batch, size_t begin, size_t end,
                    size_t num_choices) {
  Row counts(batch.num_experts(), 0.0);
  for (size_t t = begin; t < end; ++t) {
    const std::vector<int32_t> ids = batch.Part(batch.decision.chosen_ids, t);
    for (size_t r = 0; r < num_choices; ++r) {
      if (ids[r] >= 0) ++counts[static_cast<size_t>(ids[r])];
    }
  }
  return counts;
}

inline double SquaredCv(const Row& v) {
  const double n = static_cast<double>(v.size());
  const double mean = std::accumulate(v.begin(), v.end(), 0.0) / n;
  double variance = 0;
  for (const double x : v) variance += (x - mean) * (x - mean) / n;
  return variance / (mean * mean + 1e-10);
}

inline double ComposedTerm(const ComposedBatch& batch, AuxLossKind kind) {
  const size_t n = batch.num_tokens();
  const size_t k = static_cast<size_t>(batch.decision.k);
  const Matrix p = ComposedProbabilities(batch);
  switch (kind) {
    case AuxLossKind::kSwitch:
      return Balance(p, 0, n, CountsOf(batch, 0, n, k));
    case AuxLossKind::kGShard:
      return Balance(p, 0, n, CountsOf(batch, 0, n, 1));
    case AuxLossKind::kGlobalBatch: {
      Row counts = CountsOf(batch, 0, n, k);
      for (size_t e = 0; e < batch.step_expert_counts.size(); ++e) {
        counts[e] += static_cast<double>(batch.step_expert_counts[e]);
      }
      return Balance(p, 0, n, counts);
    }
    case AuxLossKind::kSequence: {
      const size_t length =
          batch.tokens_per_sequence == 0
              ? n
              : static_cast<size_t>(batch.tokens_per_sequence);
      Row terms;
      for (size_t begin = 0; begin < n; begin += length) {
        const size_t end = std::min(begin + length, n);
        terms.push_back(Balance(p, begin, end, CountsOf(batch, begin, end, k)));
      }
      return std::accumulate(terms.begin(), terms.end(), 0.0) /
             static_cast<double>(terms.size());
    }
    case AuxLossKind::kZ: {
      double sum = 0;
      for (size_t t = 0; t < n; ++t) {
        double exps = 0;
        for (const double l : batch.Noisy(t)) exps += std::exp(l);
        sum += std::log(exps) * std::log(exps) / static_cast<double>(n);
      }
      return sum;
    }
    case AuxLossKind::kImportance: {
      Row importance(batch.num_experts(), 0.0);
      for (size_t t = 0; t < n; ++t) {
        const auto kept = batch.Part(batch.decision.expert_ids, t);
        const Row weights =
            ComposedWeights(batch.gate, batch.Noisy(t),
                            batch.Part(batch.decision.chosen_ids, t), kept);
        for (size_t r = 0; r < k; ++r) {
          if (kept[r] >= 0) {
            importance[static_cast<size_t>(kept[r])] += weights[r];
          }
        }
      }
      return SquaredCv(importance);
    }
    case AuxLossKind::kLoad: {
      if (batch.noise.empty()) return 0;
      Row load(batch.num_experts(), 0.0);
      for (size_t t = 0; t < n; ++t) {
        const Row noisy = batch.Noisy(t);
        for (size_t e = 0; e < load.size(); ++e) {
          Row others = noisy;
          others.erase(others.begin() + static_cast<ptrdiff_t>(e));
          std::sort(others.rbegin(), others.rend());
          if (k > others.size()) {
            load[e] += 1;
            continue;
          }
          const double z = (batch.logits[t][e] - others[k - 1]) /
                           double{batch.gate.gaussian_std};
          load[e] += 0.5 * std::erfc(-z / std::sqrt(2.0));
        }
      }
      return SquaredCv(load);
    }
  }
  return 0;
}

// sum of weight * dots + grad_aux_loss * aux_loss.
inline double ComposedLoss(const ComposedBatch& batch, const Row& dots,
                           double grad_aux_loss) {
  double loss = 0;
  for (size_t t = 0; t < batch.num_tokens(); ++t) {
    const Row weights = ComposedWeights(
        batch.gate, batch.Noisy(t), batch.Part(batch.decision.chosen_ids, t),
        batch.Part(batch.decision.expert_ids, t));
    for (size_t r = 0; r < weights.size(); ++r) {
      loss += weights[r] * dots[t * weights.size() + r];
    }
  }
  for (const AuxLossSpec& spec : batch.gate.aux_losses) {
    loss += grad_aux_loss * double{spec.coefficient} *
            ComposedTerm(batch, spec.kind);
  }
  return loss;
}

}  // namespace switchyard::testing

#endif  // SWITCHYARD_GATEWAY_ROUTING_COMPOSED_REFERENCE_H_
