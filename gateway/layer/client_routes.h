#ifndef SWITCHYARD_GATEWAY_LAYER_CLIENT_ROUTES_H_
#define SWITCHYARD_GATEWAY_LAYER_CLIENT_ROUTES_H_

#include <cstdint>

#include "common/api/layer_calls.h"
#include "gateway/routing/router.h"

namespace switchyard {

// The decision of a client that ran the gate itself: its topk_ids and
// topk_weights, which must have passed CheckForward. Nothing is dropped; slots
// go by token; the auxiliary loss is 0.
RoutingDecision TakeClientRoutes(const ForwardRequest& request,
                                 int32_t num_experts);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_CLIENT_ROUTES_H_
