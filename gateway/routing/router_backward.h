#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTER_BACKWARD_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTER_BACKWARD_H_

#include "absl/types/span.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/router.h"

namespace switchyard {

// d loss / d logits [tokens, num_experts], through combine weights, their
// normalisation, the auxiliary loss and the softmax:
//   k = 1:  dp[e_r] += dw_r
//   k >= 2: dp[e_r] += (dw_r - sum_j w_j dw_j) / D over kept routes, D being
//           the sum of their probabilities; where D is below kMinWeightSum the
//           divisor is that constant and the sum drops out
//   aux:    dp[e] += grad_aux_loss * A * aux_fractions[e] / tokens
//   dl[e] = p[e] (dp[e] - sum_j p[j] dp[j]), the sum in float64.
// Which experts were chosen and dropped is constant.
//
// `route_dots` [tokens * k]: d loss / d weight of each route, <dy, E(x)>;
// ignored where the route was dropped. `grad_aux_loss`: d loss / d aux_loss.
Tensor LogitsGradient(const LayerSpec& spec, const RoutingDecision& decision,
                      absl::Span<const float> route_dots, float grad_aux_loss);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTER_BACKWARD_H_
