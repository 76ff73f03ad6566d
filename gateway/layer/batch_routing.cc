#include "gateway/layer/batch_routing.h"

#include <utility>

#include "gateway/layer/client_routes.h"

namespace switchyard {
namespace {

// The extent before the last: how many tokens follow one another.
int64_t TokensPerSequence(const Tensor& x) {
  const size_t rank = x.shape().size();
  return rank < 2 ? 0 : x.shape()[rank - 2];
}

void Multiply(const Tensor& factors, Tensor& values) {
  for (int64_t i = 0; i < values.num_elements(); ++i) {
    values.data()[i] *= factors.data()[i];
  }
}

// Whether the experts get x * jitter.
bool JittersExperts(const LayerSpec& spec, const OpenMicrobatch& batch) {
  return spec.gate.jitter_expert_input && batch.jitter.num_elements() > 0;
}

}  // namespace

OpenMicrobatch RouteBatch(const LayerSpec& spec, const Gate& gate,
                          const ForwardRequest& request,
                          const RoutingOptions& options) {
  OpenMicrobatch batch;
  if (request.topk_ids.empty()) {
    GateDraws own_draws;
    const GateDraws* draws = options.given_draws;
    if (draws == nullptr) {
      const MicrobatchKey key = options.keep.value_or(MicrobatchKey{});
      own_draws = DrawForForward(spec, request.mode, request.x.rows(), key.step,
                                 key.microbatch);
      draws = &own_draws;
    }
    batch.decision = gate.Route(
        request.x, {.mode = request.mode,
                    .draws = *draws,
                    .used_tokens = request.used_tokens,
                    .tokens_per_sequence = TokensPerSequence(request.x),
                    .step_routing = options.step_routing});
    batch.jitter = draws->jitter.Clone();
  } else {
    batch.decision = TakeClientRoutes(request, spec.num_experts);
    batch.pre_routed = true;
  }
  batch.branch = gate.Mix(request.x);
  batch.routes =
      batch.branch.has_value()
          ? RoutesWithBranch(batch.decision, *batch.branch, spec.branch_id())
          : RoutesOfRouter(batch.decision);
  return batch;
}

std::optional<Tensor> JitterForExperts(const LayerSpec& spec,
                                       const OpenMicrobatch& batch,
                                       const Tensor& x) {
  if (!JittersExperts(spec, batch)) return std::nullopt;
  Tensor jittered = x.Clone();
  Multiply(batch.jitter, jittered);
  return jittered;
}

std::vector<float> BackpropagateRouting(const LayerSpec& spec, Gate& gate,
                                        const OpenMicrobatch& microbatch,
                                        float grad_aux_loss,
                                        BackwardExchange& exchange) {
  if (JittersExperts(spec, microbatch)) {
    Multiply(microbatch.jitter, exchange.grad_x);
  }
  std::vector<float> weight_gradients;
  if (microbatch.branch.has_value()) {
    RouteGradients gradients = SplitBranch(
        microbatch.decision, *microbatch.branch, exchange.route_dots);
    gate.MixBackward(microbatch.x, *microbatch.branch, gradients.branch,
                     exchange.grad_x);
    weight_gradients = std::move(gradients.router);
  } else {
    weight_gradients = std::move(exchange.route_dots);
  }
  if (microbatch.pre_routed) return weight_gradients;
  gate.RouteBackward(microbatch.x, microbatch.jitter, microbatch.decision,
                     weight_gradients, grad_aux_loss, exchange.grad_x);
  return {};
}

}  // namespace switchyard
