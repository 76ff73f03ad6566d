#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTER_BACKWARD_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTER_BACKWARD_H_

#include "absl/types/span.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/router.h"

namespace switchyard {

// d loss / d logits [tokens, num_experts], back through the router's steps:
// scaling and normalisation of the weights (combine_weights.h), the auxiliary
// losses (aux_losses.h), the scores (gate_scores.h) or the softmax over the
// chosen experts, sparsemixer (sparse_mixer.h). Which experts were chosen and
// dropped, the correction bias and all noise are constant.
//
// `route_dots` [tokens * k]: d loss / d weight of each route, <dy, E(x)>;
// ignored where there is no route. `grad_aux_loss`: d loss / d aux_loss.
Tensor LogitsGradient(const LayerSpec& spec, const RoutingDecision& decision,
                      absl::Span<const float> route_dots, float grad_aux_loss);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTER_BACKWARD_H_
