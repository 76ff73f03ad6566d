// The gateway's own part of a batch: all that needs no worker, both ways.
#ifndef SWITCHYARD_GATEWAY_LAYER_BATCH_ROUTING_H_
#define SWITCHYARD_GATEWAY_LAYER_BATCH_ROUTING_H_

#include <optional>
#include <vector>

#include "common/api/layer_calls.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/layer/expert_exchange.h"
#include "gateway/layer/gate.h"
#include "gateway/training/microbatch_table.h"
#include "gateway/training/step_routing.h"

namespace switchyard {

struct RoutingOptions {
  // Train mode: the key for the backward to come, which keys the noise too.
  std::optional<MicrobatchKey> keep;
  // In place of the layer's own random numbers.
  const GateDraws* given_draws = nullptr;
  // Of the step's microbatches before this one.
  StepRouting step_routing;
};

// Routes the batch, by the layer's gate or as the client says, and joins the
// dense branch. Everything but x and plan is filled in.
OpenMicrobatch RouteBatch(const LayerSpec& spec, const Gate& gate,
                          const ForwardRequest& request,
                          const RoutingOptions& options);

// x * jitter, where that is what the experts get.
std::optional<Tensor> JitterForExperts(const LayerSpec& spec,
                                       const OpenMicrobatch& batch,
                                       const Tensor& x);

// From what the experts answered to a backward, adds the gradients of the
// gate's parameters, and to exchange.grad_x what comes back through the gate.
// Returns the gradients of the client's weights, where it routed.
std::vector<float> BackpropagateRouting(const LayerSpec& spec, Gate& gate,
                                        const OpenMicrobatch& microbatch,
                                        float grad_aux_loss,
                                        BackwardExchange& exchange);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_BATCH_ROUTING_H_
