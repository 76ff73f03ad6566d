#include "gateway/routing/combine_weights.h"

#include <algorithm>

namespace switchyard {

WeightRule WeightRuleOf(const GateSpec& gate) {
  WeightRule rule;
  rule.scaling_factor = gate.scaling_factor;
  switch (gate.normalization) {
    case WeightNormalization::kDeepSpeed:
      rule.divides = gate.k > 1 && gate.selection == Selection::kTopK;
      rule.over_kept = true;
      rule.floor = std::numeric_limits<float>::epsilon();
      return rule;
    case WeightNormalization::kNone:
    case WeightNormalization::kChosenSoftmax:
      return rule;
    case WeightNormalization::kChosen:
    case WeightNormalization::kKept:
      rule.divides = true;
      rule.over_kept = gate.normalization == WeightNormalization::kKept;
      rule.floor =
          std::max(gate.normalization_floor, std::numeric_limits<float>::min());
      rule.epsilon = gate.normalization_epsilon;
      return rule;
  }
  return rule;
}

float RawWeightSum(const WeightRule& rule, const TokenChoices& choices) {
  float sum = 0;
  for (size_t r = 0; r < choices.raw_weights.size(); ++r) {
    if (choices.counts(rule, r)) sum += choices.raw_weights[r];
  }
  return sum;
}

float WeightDivisor(const WeightRule& rule, float raw_weight_sum) {
  // In this order a NaN stays one.
  return (raw_weight_sum < rule.floor ? rule.floor : raw_weight_sum) +
         rule.epsilon;
}

std::vector<float> CombineWeights(const WeightRule& rule,
                                  absl::Span<const float> raw_weights,
                                  absl::Span<const int32_t> chosen_ids,
                                  absl::Span<const int32_t> kept_ids,
                                  int32_t k) {
  std::vector<float> weights(kept_ids.size(), 0.0f);
  const size_t width = static_cast<size_t>(k);
  for (size_t begin = 0; begin < kept_ids.size(); begin += width) {
    const TokenChoices choices = {raw_weights.subspan(begin, width),
                                  chosen_ids.subspan(begin, width),
                                  kept_ids.subspan(begin, width)};
    const float divisor =
        rule.divides ? WeightDivisor(rule, RawWeightSum(rule, choices)) : 1.0f;
    for (size_t r = 0; r < width; ++r) {
      if (choices.kept_ids[r] < 0) continue;
      weights[begin + r] =
          choices.raw_weights[r] / divisor * rule.scaling_factor;
    }
  }
  return weights;
}

void CombineWeightsBackward(const WeightRule& rule, const TokenChoices& choices,
                            absl::Span<const float> grad_weights,
                            absl::Span<float> grad_raw_weights) {
  float divisor = 1.0f;
  // d loss / d divisor, negated and times the divisor.
  float shared = 0.0f;
  if (rule.divides) {
    const float sum = RawWeightSum(rule, choices);
    divisor = WeightDivisor(rule, sum);
    // All scores are 0, and so are their slopes.
    if (divisor <= std::numeric_limits<float>::min()) {
      std::fill(grad_raw_weights.begin(), grad_raw_weights.end(), 0.0f);
      return;
    }
    for (size_t r = 0; r < grad_weights.size() && !(sum < rule.floor); ++r) {
      if (choices.kept_ids[r] < 0) continue;
      shared += choices.raw_weights[r] / divisor * rule.scaling_factor *
                grad_weights[r];
    }
  }
  for (size_t r = 0; r < grad_weights.size(); ++r) {
    const float own =
        choices.kept_ids[r] < 0 ? 0.0f : rule.scaling_factor * grad_weights[r];
    grad_raw_weights[r] =
        choices.counts(rule, r) ? (own - shared) / divisor : own / divisor;
  }
}

}  // namespace switchyard
