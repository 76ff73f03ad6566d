#include "gateway/routing/router.h"

#include <algorithm>
#include <utility>

#include "gateway/routing/aux_loss.h"
#include "gateway/routing/capacity.h"
#include "gateway/routing/combine_weights.h"
#include "gateway/routing/expert_selection.h"
#include "gateway/routing/route_drop.h"
#include "gateway/routing/softmax.h"

namespace switchyard {
namespace {

std::vector<int32_t> SelectExperts(const GateSpec& gate,
                                   const GateProbabilities& probabilities,
                                   ConstMatrix logits, const GateDraws& draws,
                                   const std::vector<bool>& used_tokens) {
  switch (gate.k) {
    case 1:
      return SelectTop1(probabilities, logits, draws.gumbel, used_tokens);
    case 2:
      return SelectTop2(probabilities, logits, draws.gumbel);
    default:
      return SelectTopK(probabilities, gate.k);
  }
}

// The drops that are decided by comparing tokens; those by order fall to
// AssignSlots.
std::vector<int32_t> DropByScore(const GateSpec& gate,
                                 const GateProbabilities& probabilities,
                                 const GateDraws& draws,
                                 std::vector<int32_t> expert_ids,
                                 const RoutingDecision& decision) {
  const bool by_rts = gate.k == 1 && draws.rts_uniform.num_elements() > 0;
  const bool by_probability =
      gate.k > 2 && gate.drop_policy == DropPolicy::kProbs;
  if (!by_rts && !by_probability) return expert_ids;
  const Tensor& scores = by_rts ? draws.rts_uniform : probabilities.values;
  return KeepHighestScores(std::move(expert_ids), gate.k, scores, probabilities,
                           decision.expert_counts, decision.capacity);
}

}  // namespace

RoutingDecision RouteTokens(const LayerSpec& spec, Mode mode,
                            ConstMatrix logits, const GateDraws& draws,
                            const std::vector<bool>& used_tokens) {
  const int32_t k = spec.gate.k;
  RoutingDecision decision;
  decision.num_tokens = logits.num_rows;
  decision.k = k;

  GateProbabilities probabilities = GateSoftmax(logits);
  std::vector<int32_t> expert_ids =
      SelectExperts(spec.gate, probabilities, logits, draws, used_tokens);
  decision.expert_counts = CountRoutes(expert_ids, spec.num_experts);
  AuxLoss aux =
      ComputeAuxLoss(probabilities.values, expert_ids, k, spec.num_experts);
  decision.aux_loss = aux.loss;
  decision.aux_fractions = std::move(aux.fractions);

  if (CanDrop(spec.capacity, mode)) {
    decision.capacity = ExpertCapacity(spec, mode, logits.num_rows);
    expert_ids = DropByScore(spec.gate, probabilities, draws,
                             std::move(expert_ids), decision);
  } else {
    decision.capacity = *std::max_element(decision.expert_counts.begin(),
                                          decision.expert_counts.end());
  }
  SlottedRoutes routes =
      AssignSlots(std::move(expert_ids), k,
                  k == 2 ? SlotOrder::kChoiceMajor : SlotOrder::kTokenMajor,
                  probabilities, spec.num_experts, decision.capacity);
  decision.expert_ids = std::move(routes.expert_ids);
  decision.slots = std::move(routes.slots);
  decision.kept_counts = std::move(routes.kept_counts);
  decision.weights =
      CombineWeights(probabilities.values, decision.expert_ids, k);
  decision.probabilities = std::move(probabilities.values);
  return decision;
}

}  // namespace switchyard
