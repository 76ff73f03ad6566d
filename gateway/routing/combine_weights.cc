#include "gateway/routing/combine_weights.h"

namespace switchyard {

float KeptProbability(const float* probabilities,
                      absl::Span<const int32_t> expert_ids) {
  float sum = 0;
  for (const int32_t expert : expert_ids) {
    if (expert >= 0) sum += probabilities[expert];
  }
  return sum;
}

std::vector<float> CombineWeights(const Tensor& probabilities,
                                  absl::Span<const int32_t> expert_ids,
                                  int32_t k) {
  std::vector<float> weights(expert_ids.size(), 0.0f);
  const size_t num_choices = static_cast<size_t>(k);
  for (int64_t token = 0; token < probabilities.rows(); ++token) {
    const size_t begin = static_cast<size_t>(token) * num_choices;
    const absl::Span<const int32_t> ids =
        expert_ids.subspan(begin, num_choices);
    const float* row = probabilities.row(token);
    float divisor = 1.0f;
    if (k > 1) {
      const float sum = KeptProbability(row, ids);
      // In this order a NaN stays one.
      divisor = sum < kMinWeightSum ? kMinWeightSum : sum;
    }
    for (size_t r = 0; r < num_choices; ++r) {
      if (ids[r] >= 0) weights[begin + r] = row[ids[r]] / divisor;
    }
  }
  return weights;
}

}  // namespace switchyard
