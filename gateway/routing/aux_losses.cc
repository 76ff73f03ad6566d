#include "gateway/routing/aux_losses.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace switchyard {
namespace {

// Keeps CV^2 finite where nothing was chosen, as Tutel's losses.py.
constexpr double kVarianceFloor = 1e-10;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Term {
  double value = 0;
  AuxTermSlopes slopes;
};

bool IsUsed(const AuxLossInput& input, int64_t token) {
  return input.used_tokens.empty() ||
         input.used_tokens[static_cast<size_t>(token)];
}

size_t NumExperts(const AuxLossInput& input) {
  return static_cast<size_t>(input.scores.num_cols);
}

int64_t NumUsed(const AuxLossInput& input, TokenRun run) {
  int64_t num_used = 0;
  for (int64_t t = run.begin; t < run.end; ++t) num_used += IsUsed(input, t);
  return num_used;
}

// Routes to each expert from a run's first `num_choices` choices.
std::vector<double> CountChoices(const AuxLossInput& input, TokenRun run,
                                 int32_t num_choices) {
  std::vector<double> counts(NumExperts(input), 0.0);
  for (int64_t token = run.begin; token < run.end; ++token) {
    for (int32_t r = 0; r < num_choices; ++r) {
      const int32_t expert =
          input.chosen_ids[static_cast<size_t>(token * input.k + r)];
      if (expert >= 0) ++counts[static_cast<size_t>(expert)];
    }
  }
  return counts;
}

// Shares of their sum; zeros where that is 0.
std::vector<double> Normalised(std::vector<double> counts) {
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  for (double& count : counts) count = sum == 0 ? 0 : count / sum;
  return counts;
}

// Sums of p[t, e] over the run's tokens that count.
std::vector<double> SumProbabilities(const AuxLossInput& input, TokenRun run,
                                     bool all_tokens) {
  const bool is_softmax = input.gate.score_function == ScoreFunction::kSoftmax;
  std::vector<double> sums(NumExperts(input), 0.0);
  for (int64_t token = run.begin; token < run.end; ++token) {
    if (!all_tokens && !IsUsed(input, token)) continue;
    const float* row = input.scores.row(token);
    if (is_softmax) {
      for (size_t e = 0; e < sums.size(); ++e) sums[e] += double{row[e]};
      continue;
    }
    const double row_sum = std::accumulate(row, row + sums.size(), 0.0);
    for (size_t e = 0; e < sums.size(); ++e) {
      sums[e] += row_sum == 0 ? 0.0 : double{row[e]} / row_sum;
    }
  }
  return sums;
}

// Adds share * E * sum_e fractions_e P_e of one run.
void AddBalance(const AuxLossInput& input, TokenRun run,
                const std::vector<double>& fractions, bool all_tokens,
                double share, Term& term) {
  const int64_t num_tokens = all_tokens ? run.size() : NumUsed(input, run);
  term.slopes.runs.push_back(run);
  const double factor = num_tokens == 0
                            ? 0.0
                            : share * static_cast<double>(NumExperts(input)) /
                                  static_cast<double>(num_tokens);
  const std::vector<double> sums = SumProbabilities(input, run, all_tokens);
  for (size_t e = 0; e < fractions.size(); ++e) {
    term.value += factor * fractions[e] * sums[e];
    term.slopes.slopes.push_back(static_cast<float>(factor * fractions[e]));
  }
}

int32_t NumCountedChoices(AuxLossKind kind, int32_t k) {
  return kind == AuxLossKind::kGShard ? 1 : k;
}

// A balance term inside each of `runs`, by weight `share_of(run)`.
template <typename ShareOf>
Term BalanceInRuns(const AuxLossInput& input, AuxLossKind kind,
                   const std::vector<TokenRun>& runs, bool is_deepspeed,
                   ShareOf share_of) {
  Term term;
  for (const TokenRun run : runs) {
    std::vector<double> counts =
        CountChoices(input, run, NumCountedChoices(kind, input.k));
    if (is_deepspeed) {
      // Shares of k T, whatever was not used.
      const double num_choices =
          static_cast<double>(NumCountedChoices(kind, input.k)) *
          static_cast<double>(run.size());
      for (double& count : counts) {
        count = num_choices == 0 ? 0 : count / num_choices;
      }
    } else {
      counts = Normalised(std::move(counts));
    }
    AddBalance(input, run, counts, is_deepspeed, share_of(run), term);
  }
  return term;
}

Term GroupBalance(const AuxLossInput& input, AuxLossKind kind,
                  bool is_deepspeed) {
  const double num_tokens = static_cast<double>(input.scores.num_rows);
  return BalanceInRuns(
      input, kind, input.local_groups, is_deepspeed,
      [num_tokens](TokenRun run) {
        return num_tokens == 0 ? 0.0
                               : static_cast<double>(run.size()) / num_tokens;
      });
}

Term SequenceBalance(const AuxLossInput& input) {
  const std::vector<TokenRun> sequences =
      CutRuns({0, input.scores.num_rows}, input.tokens_per_sequence);
  const double share = 1.0 / static_cast<double>(sequences.size());
  return BalanceInRuns(input, AuxLossKind::kSequence, sequences,
                       /*is_deepspeed=*/false,
                       [share](TokenRun) { return share; });
}

Term GlobalBatchBalance(const AuxLossInput& input) {
  const TokenRun all = {0, input.scores.num_rows};
  std::vector<double> counts = CountChoices(input, all, input.k);
  for (size_t e = 0; e < input.step_expert_counts.size(); ++e) {
    counts[e] += static_cast<double>(input.step_expert_counts[e]);
  }
  Term term;
  AddBalance(input, all, Normalised(std::move(counts)), /*all_tokens=*/false,
             1.0, term);
  return term;
}

// var(v) / (mean(v)^2 + floor), with its slopes.
Term SquaredVariation(const std::vector<double>& values, TokenRun all) {
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double variance = 0;
  for (const double v : values) variance += (v - mean) * (v - mean) / n;
  const double divisor = mean * mean + kVarianceFloor;
  Term term;
  term.value = variance / divisor;
  term.slopes.runs = {all};
  for (const double v : values) {
    term.slopes.slopes.push_back(static_cast<float>(
        2 / n *
        ((v - mean) / divisor - variance * mean / (divisor * divisor))));
  }
  return term;
}

Term Importance(const AuxLossInput& input) {
  std::vector<double> importance(NumExperts(input), 0.0);
  for (size_t entry = 0; entry < input.kept_ids.size(); ++entry) {
    const int32_t expert = input.kept_ids[entry];
    if (expert >= 0) {
      importance[static_cast<size_t>(expert)] += double{input.weights[entry]};
    }
  }
  // A broken token counts, its routes dropped or not.
  for (int64_t token = 0; token < input.scores.num_rows; ++token) {
    if (std::isnan(input.scores.row(token)[0])) importance[0] = kNan;
  }
  return SquaredVariation(importance, {0, input.scores.num_rows});
}

Term Load(const AuxLossInput& input) {
  const TokenRun all = {0, input.scores.num_rows};
  const size_t num_experts = NumExperts(input);
  if (input.clean_logits.num_elements() == 0) {
    return {0, {{all}, std::vector<float>(num_experts, 0.0f)}};
  }
  std::vector<double> load(num_experts, 0.0);
  LoadThresholds thresholds(input.scores.num_cols, input.gate.k);
  for (int64_t token = 0; token < all.end; ++token) {
    if (!IsUsed(input, token)) continue;
    if (std::isnan(input.scores.row(token)[0])) {
      load[0] = kNan;
      continue;
    }
    thresholds.SetToken(input.logits.row(token));
    for (size_t e = 0; e < num_experts; ++e) {
      const auto threshold = thresholds.Of(static_cast<int64_t>(e));
      if (threshold.expert < 0) {
        load[e] += 1;
        continue;
      }
      const double z =
          (double{input.clean_logits.row(token)[e]} - double{threshold.logit}) /
          double{input.gate.gaussian_std};
      load[e] += 0.5 * std::erfc(-z / std::sqrt(2.0));
    }
  }
  return SquaredVariation(load, all);
}

Term ZLoss(const AuxLossInput& input) {
  const TokenRun all = {0, input.logits.num_rows};
  const int64_t num_used = NumUsed(input, all);
  Term term;
  term.slopes.runs = {all};
  term.slopes.slopes = {num_used == 0 ? 0.0f
                                      : 1.0f / static_cast<float>(num_used)};
  for (int64_t token = 0; token < all.end; ++token) {
    if (!IsUsed(input, token)) continue;
    if (std::isnan(input.scores.row(token)[0])) term.value = kNan;
    const float* row = input.logits.row(token);
    const double max = *std::max_element(row, row + input.logits.num_cols);
    double sum = 0;
    for (int64_t e = 0; e < input.logits.num_cols; ++e) {
      sum += std::exp(double{row[e]} - max);
    }
    const double log_sum = max + std::log(sum);
    term.value += log_sum * log_sum / static_cast<double>(num_used);
  }
  return term;
}

Term ComputeTerm(const AuxLossInput& input, AuxLossKind kind,
                 bool is_deepspeed) {
  switch (kind) {
    case AuxLossKind::kSwitch:
    case AuxLossKind::kGShard:
      return GroupBalance(input, kind, is_deepspeed);
    case AuxLossKind::kImportance:
      return Importance(input);
    case AuxLossKind::kLoad:
      return Load(input);
    case AuxLossKind::kZ:
      return ZLoss(input);
    case AuxLossKind::kSequence:
      return SequenceBalance(input);
    case AuxLossKind::kGlobalBatch:
      return GlobalBatchBalance(input);
  }
  return {};
}

}  // namespace

std::vector<AuxLossSpec> AuxLossesOf(const GateSpec& gate) {
  if (!gate.aux_losses.empty()) return gate.aux_losses;
  return {{.kind = gate.k <= 2 ? AuxLossKind::kGShard : AuxLossKind::kSwitch}};
}

bool IsBalanceTerm(AuxLossKind kind) {
  return kind == AuxLossKind::kSwitch || kind == AuxLossKind::kGShard ||
         kind == AuxLossKind::kSequence || kind == AuxLossKind::kGlobalBatch;
}

AuxLosses ComputeAuxLosses(const AuxLossInput& input) {
  const bool is_deepspeed = input.gate.aux_losses.empty();
  AuxLosses losses;
  double sum = 0;
  for (const AuxLossSpec& spec : AuxLossesOf(input.gate)) {
    Term term = ComputeTerm(input, spec.kind, is_deepspeed);
    sum += double{spec.coefficient} * term.value;
    losses.terms.push_back(static_cast<float>(term.value));
    losses.slopes.push_back(std::move(term.slopes));
  }
  losses.loss = static_cast<float>(sum);
  return losses;
}

LoadThresholds::LoadThresholds(int64_t num_experts, int32_t k)
    : k_(k),
      ranking_(static_cast<size_t>(num_experts)),
      is_top_(static_cast<size_t>(num_experts)) {}

void LoadThresholds::SetToken(const float* noisy_logits) {
  noisy_logits_ = noisy_logits;
  std::iota(ranking_.begin(), ranking_.end(), int64_t{0});
  const auto needed_end =
      ranking_.begin() +
      std::min(k_ + 1, static_cast<int64_t>(ranking_.size()));
  std::partial_sort(ranking_.begin(), needed_end, ranking_.end(),
                    [noisy_logits](int64_t a, int64_t b) {
                      return noisy_logits[a] > noisy_logits[b] ||
                             (noisy_logits[a] == noisy_logits[b] && a < b);
                    });
  std::fill(is_top_.begin(), is_top_.end(), false);
  for (size_t r = 0; r < static_cast<size_t>(k_); ++r) {
    is_top_[static_cast<size_t>(ranking_[r])] = true;
  }
}

LoadThresholds::Threshold LoadThresholds::Of(int64_t e) const {
  const size_t k = static_cast<size_t>(k_);
  const size_t rank = is_top_[static_cast<size_t>(e)] ? k : k - 1;
  if (rank >= ranking_.size()) return {};
  return {ranking_[rank], noisy_logits_[ranking_[rank]]};
}

}  // namespace switchyard
