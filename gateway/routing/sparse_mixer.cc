#include "gateway/routing/sparse_mixer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace switchyard {
namespace {

constexpr int32_t kNumChoices = 2;
constexpr float kMasked = -std::numeric_limits<float>::infinity();
// modeling_phimoe.py: torch.add(0.3333, mask_for_one, alpha=0.6667).
constexpr float kHeunWeight = 0.3333f;
constexpr float kHeunThreshold = 0.75f;

// Writes the softmax over the experts that the choice looks at, 0 for others.
// `excluded`: the first choice, for the second; -1 for the first.
void Candidates(float epsilon, absl::Span<const float> logits, int32_t excluded,
                absl::Span<float> probabilities) {
  float best = kMasked;
  for (size_t e = 0; e < logits.size(); ++e) {
    if (static_cast<int32_t>(e) != excluded) best = std::max(best, logits[e]);
  }
  double sum = 0;
  for (size_t e = 0; e < logits.size(); ++e) {
    probabilities[e] = 0;
    if (static_cast<int32_t>(e) == excluded) continue;
    const float scale = std::max(std::fabs(logits[e]), best);
    // 0 / 0 compares false: such an expert stays.
    if ((best - logits[e]) / scale > 2 * epsilon) continue;
    probabilities[e] = std::exp(logits[e] - best);
    sum += probabilities[e];
  }
  for (float& p : probabilities) p /= static_cast<float>(sum);
}

size_t ArgMax(absl::Span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) -
                             values.begin());
}

// Drawn from the candidates' softmax by the largest logit + gumbel.
size_t Sample(absl::Span<const float> logits,
              absl::Span<const float> probabilities, const float* gumbel) {
  size_t best = ArgMax(probabilities);
  for (size_t e = 0; e < logits.size(); ++e) {
    if (probabilities[e] == 0) continue;
    if (logits[e] + gumbel[e] > logits[best] + gumbel[best]) best = e;
  }
  return best;
}

}  // namespace

MixedChoices SelectSparseMixer(float epsilon, ConstMatrix logits,
                               const GateScores& scores,
                               const GateDraws& draws) {
  const size_t num_entries = static_cast<size_t>(logits.num_rows * kNumChoices);
  const size_t num_experts = static_cast<size_t>(logits.num_cols);
  const bool sampled = draws.gumbel.num_elements() > 0;
  MixedChoices choices;
  choices.expert_ids.resize(num_entries);
  choices.weights.assign(num_entries, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> probabilities(num_experts);
  for (size_t i = 0; i < scores.token_order.size(); ++i) {
    const int64_t token = scores.token_order[i];
    const size_t entry = static_cast<size_t>(token * kNumChoices);
    if (static_cast<int64_t>(i) >= scores.num_finite_tokens) {
      choices.expert_ids[entry + 1] = 1;
      continue;
    }
    const absl::Span<const float> row(logits.row(token), num_experts);
    int32_t excluded = -1;
    for (size_t r = 0; r < kNumChoices; ++r) {
      Candidates(epsilon, row, excluded, absl::MakeSpan(probabilities));
      const size_t best = ArgMax(probabilities);
      size_t chosen = best;
      float factor = 1.0f;
      if (sampled) {
        chosen = Sample(row, probabilities,
                        draws.gumbel.row(token) + r * num_experts);
        if (chosen != best &&
            draws.mixer_uniform.row(token)[r] <= kHeunThreshold) {
          factor = kHeunWeight;
        }
      }
      excluded = static_cast<int32_t>(chosen);
      choices.expert_ids[entry + r] = excluded;
      choices.weights[entry + r] = probabilities[chosen] * factor;
    }
  }
  return choices;
}

void SparseMixerBackward(float epsilon, absl::Span<const float> logits,
                         absl::Span<const int32_t> chosen,
                         absl::Span<const float> grad_weights,
                         absl::Span<float> scratch,
                         absl::Span<float> grad_logits) {
  int32_t excluded = -1;
  for (size_t r = 0; r < chosen.size(); ++r) {
    Candidates(epsilon, logits, excluded, scratch);
    excluded = chosen[r];
    const size_t e = static_cast<size_t>(chosen[r]);
    const float grad = grad_weights[r] * scratch[e];
    for (size_t i = 0; i < logits.size(); ++i) {
      grad_logits[i] -= grad * scratch[i];
    }
    grad_logits[e] += grad;
  }
}

}  // namespace switchyard
