#include "gateway/routing/router_backward.h"

#include <algorithm>
#include <vector>

#include "gateway/routing/aux_loss.h"
#include "gateway/routing/combine_weights.h"

namespace switchyard {
namespace {

// One token's k routes.
struct TokenRoutes {
  absl::Span<const int32_t> expert_ids;
  absl::Span<const float> weights;
  // d loss / d weight.
  absl::Span<const float> dots;
};

TokenRoutes RoutesOf(const RoutingDecision& decision,
                     absl::Span<const float> route_dots, int64_t token) {
  const size_t k = static_cast<size_t>(decision.k);
  const size_t begin = static_cast<size_t>(token) * k;
  return {absl::MakeConstSpan(decision.expert_ids).subspan(begin, k),
          absl::MakeConstSpan(decision.weights).subspan(begin, k),
          route_dots.subspan(begin, k)};
}

// Adds d loss / d p, through the weights, to `grad_row`.
void AddWeightsGradient(const TokenRoutes& routes, const float* probabilities,
                        float* grad_row) {
  float divisor = 1.0f;
  float weighted_dot = 0.0f;
  if (routes.expert_ids.size() > 1) {
    divisor = KeptProbability(probabilities, routes.expert_ids);
    if (divisor < kMinWeightSum) {
      divisor = kMinWeightSum;
    } else {
      for (size_t r = 0; r < routes.dots.size(); ++r) {
        if (routes.expert_ids[r] < 0) continue;
        weighted_dot += routes.weights[r] * routes.dots[r];
      }
    }
  }
  for (size_t r = 0; r < routes.dots.size(); ++r) {
    const int32_t expert = routes.expert_ids[r];
    if (expert < 0) continue;
    grad_row[expert] += (routes.dots[r] - weighted_dot) / divisor;
  }
}

// Turns d loss / d p into d loss / d logits, in place.
void SoftmaxBackward(const float* probabilities, int64_t num_experts,
                     float* grad_row) {
  double sum = 0;
  for (int64_t e = 0; e < num_experts; ++e) {
    sum += static_cast<double>(probabilities[e]) *
           static_cast<double>(grad_row[e]);
  }
  const float mean = static_cast<float>(sum);
  for (int64_t e = 0; e < num_experts; ++e) {
    grad_row[e] = probabilities[e] * (grad_row[e] - mean);
  }
}

}  // namespace

Tensor LogitsGradient(const LayerSpec& spec, const RoutingDecision& decision,
                      absl::Span<const float> route_dots, float grad_aux_loss) {
  const int64_t num_experts = spec.num_experts;
  Tensor grad = Tensor::Uninitialized({decision.num_tokens, num_experts});
  if (decision.num_tokens == 0) return grad;
  const float aux_factor = grad_aux_loss *
                           AuxLossScale(spec.num_experts, decision.k) /
                           static_cast<float>(decision.num_tokens);
  std::vector<float> aux_row(decision.aux_fractions.size());
  for (size_t e = 0; e < aux_row.size(); ++e) {
    aux_row[e] = aux_factor * decision.aux_fractions[e];
  }
  for (int64_t token = 0; token < decision.num_tokens; ++token) {
    const float* probabilities = decision.probabilities.row(token);
    float* grad_row = grad.row(token);
    std::copy(aux_row.begin(), aux_row.end(), grad_row);
    AddWeightsGradient(RoutesOf(decision, route_dots, token), probabilities,
                       grad_row);
    SoftmaxBackward(probabilities, num_experts, grad_row);
  }
  return grad;
}

}  // namespace switchyard
