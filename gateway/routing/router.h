// From a batch's logits to its routes: a pipeline of small pure steps that a
// layer's GateSpec composes,
//   scores -> ranking and selection -> counts -> losses -> drops and slots
//   -> weights,
// with nothing that knows of a particular model. docs/routers.md describes the
// steps and shows how known models are put together from them.
#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTER_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/gate_draws.h"
#include "gateway/routing/routing_decision.h"

namespace switchyard {

// One batch. What it points to is the caller's and is not kept.
struct RouterInput {
  // [tokens, num_experts], gate.bias already added.
  ConstMatrix logits;
  // Never null.
  const GateDraws* draws = nullptr;
  // [tokens], or empty for all; never null. Tokens marked false take part in
  // no expert; k = 1 with selection TOP_K only, ignored elsewhere.
  const std::vector<bool>* used_tokens = nullptr;
  // [num_experts], or empty: none.
  absl::Span<const float> score_correction_bias;
  // Length of the sequences that the batch is made of, for
  // AuxLossKind::kSequence. 0: one sequence.
  int64_t tokens_per_sequence = 0;
  // [num_experts] routes per expert in the step's earlier microbatches, for
  // AuxLossKind::kGlobalBatch. Empty: there are none.
  absl::Span<const int64_t> step_expert_counts;
};

// Routes a batch. Each token gets k routes, under expert choice any number.
//
// Ties go to the lowest expert id and the lowest token. No tokens are valid. A
// token with a NaN or infinite logit chooses experts 0 ... k - 1 with NaN
// weights and is served last, so that the routes, slots and weights of the
// others are as if its choices had not been made (but counts and a dropless
// capacity include them, and the auxiliary loss is NaN). Under expert choice
// such a token is every expert's last.
//
// `spec` must have passed Validate; `input` must have the shapes given there.
// Cost: O(tokens * num_experts * log k) time, and O(tokens * log tokens) for
// DropPolicy::kPriority; O(tokens * num_experts) memory. Pure; thread-safe.
RoutingDecision RouteTokens(const LayerSpec& spec, Mode mode,
                            const RouterInput& input);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTER_H_
