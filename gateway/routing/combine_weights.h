#ifndef SWITCHYARD_GATEWAY_ROUTING_COMBINE_WEIGHTS_H_
#define SWITCHYARD_GATEWAY_ROUTING_COMBINE_WEIGHTS_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "common/model/gate_spec.h"

namespace switchyard {

// What a token's weights are divided by: GateSpec's normalisation with
// DeepSpeed's default put in its place.
struct WeightRule {
  bool divides = false;
  // The sum is over the kept routes only.
  bool over_kept = false;
  // The divisor is max(sum, floor) + epsilon.
  float floor = 0;
  float epsilon = 0;
  float scaling_factor = 1;
};

// DeepSpeed: k = 1 none; k >= 2 over the kept, at least
// torch.finfo(float32).eps. A floor of 0 becomes the smallest normal number, so
// that scores that are all 0 give weights of 0.
WeightRule WeightRuleOf(const GateSpec& gate);

// One token's routes: the weights of the chosen before normalisation, and where
// they go, -1 where dropped or unused.
struct TokenChoices {
  absl::Span<const float> raw_weights;
  absl::Span<const int32_t> chosen_ids;
  absl::Span<const int32_t> kept_ids;

  // Whether route r is part of the rule's sum.
  bool counts(const WeightRule& rule, size_t r) const {
    return (rule.over_kept ? kept_ids : chosen_ids)[r] >= 0;
  }
};

// Sum in order of choice, float32.
float RawWeightSum(const WeightRule& rule, const TokenChoices& choices);
float WeightDivisor(const WeightRule& rule, float raw_weight_sum);

// [tokens * k] weight of each kept route, 0 where there is none:
// scaling_factor * raw / divisor.
std::vector<float> CombineWeights(const WeightRule& rule,
                                  absl::Span<const float> raw_weights,
                                  absl::Span<const int32_t> chosen_ids,
                                  absl::Span<const int32_t> kept_ids,
                                  int32_t k);

// One token's d loss / d raw weight, for d loss / d weight of its kept routes.
void CombineWeightsBackward(const WeightRule& rule, const TokenChoices& choices,
                            absl::Span<const float> grad_weights,
                            absl::Span<float> grad_raw_weights);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_COMBINE_WEIGHTS_H_
