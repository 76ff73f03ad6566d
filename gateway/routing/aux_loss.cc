#include "gateway/routing/aux_loss.h"

namespace switchyard {
namespace {

std::vector<float> ChosenFractions(absl::Span<const int32_t> expert_ids,
                                   int64_t num_tokens, int32_t k,
                                   int32_t num_experts) {
  const int32_t num_counted_choices = k <= 2 ? 1 : k;
  std::vector<int64_t> counts(static_cast<size_t>(num_experts), 0);
  for (int64_t token = 0; token < num_tokens; ++token) {
    for (int32_t r = 0; r < num_counted_choices; ++r) {
      const int32_t expert = expert_ids[static_cast<size_t>(token * k + r)];
      if (expert >= 0) ++counts[static_cast<size_t>(expert)];
    }
  }
  std::vector<float> fractions(counts.size());
  for (size_t e = 0; e < counts.size(); ++e) {
    fractions[e] =
        static_cast<float>(counts[e]) / static_cast<float>(num_tokens);
  }
  return fractions;
}

}  // namespace

float AuxLossScale(int32_t num_experts, int32_t k) {
  const float scale = static_cast<float>(num_experts);
  return k <= 2 ? scale : scale / static_cast<float>(k);
}

AuxLoss ComputeAuxLoss(const Tensor& probabilities,
                       absl::Span<const int32_t> expert_ids, int32_t k,
                       int32_t num_experts) {
  const int64_t num_tokens = probabilities.rows();
  AuxLoss aux;
  if (num_tokens == 0) {
    aux.fractions.assign(static_cast<size_t>(num_experts), 0.0f);
    return aux;
  }
  aux.fractions = ChosenFractions(expert_ids, num_tokens, k, num_experts);
  std::vector<double> sums(aux.fractions.size(), 0.0);
  for (int64_t token = 0; token < num_tokens; ++token) {
    const float* row = probabilities.row(token);
    for (size_t e = 0; e < sums.size(); ++e) sums[e] += row[e];
  }
  double loss = 0;
  for (size_t e = 0; e < sums.size(); ++e) {
    loss += sums[e] / static_cast<double>(num_tokens) *
            static_cast<double>(aux.fractions[e]);
  }
  aux.loss = static_cast<float>(
      loss * static_cast<double>(AuxLossScale(num_experts, k)));
  return aux;
}

}  // namespace switchyard
