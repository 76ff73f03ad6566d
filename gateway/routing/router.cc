#include "gateway/routing/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "gateway/routing/aux_losses.h"
#include "gateway/routing/capacity.h"
#include "gateway/routing/combine_weights.h"
#include "gateway/routing/expert_choice.h"
#include "gateway/routing/expert_selection.h"
#include "gateway/routing/gate_scores.h"
#include "gateway/routing/local_groups.h"
#include "gateway/routing/route_drop.h"
#include "gateway/routing/sparse_mixer.h"

namespace switchyard {
namespace {

// A batch on its way through the steps.
struct Batch {
  const LayerSpec& spec;
  const Mode mode;
  const RouterInput& input;
  // Gaussian noise included.
  ConstMatrix logits;
  GateScores scores;
  std::vector<TokenRun> runs;
  // Empty where the layer takes no mask.
  const std::vector<bool>& used_tokens;
};

Tensor AddNoise(ConstMatrix logits, const Tensor& noise) {
  Tensor noisy = Tensor::Uninitialized({logits.num_rows, logits.num_cols});
  for (int64_t i = 0; i < logits.num_elements(); ++i) {
    noisy.data()[i] = logits.data[i] + noise.data()[i];
  }
  return noisy;
}

// The capacity of each run under expert choice: a factor of 1 where the layer
// drops nothing.
std::vector<int64_t> ExpertChoiceCapacities(const Batch& batch) {
  std::vector<int64_t> capacities;
  for (const TokenRun run : batch.runs) {
    capacities.push_back(
        CanDrop(batch.spec.capacity, batch.mode)
            ? ExpertCapacity(batch.spec, batch.mode, run.size())
            : ExpertCapacity(run.size(), batch.spec.num_experts,
                             /*capacity_factor=*/1.0f, batch.spec.gate.k,
                             /*min_capacity=*/0));
  }
  return capacities;
}

// The scores of the chosen experts, or the softmax of their logits.
std::vector<float> RawWeights(const Batch& batch,
                              const std::vector<int32_t>& chosen_ids,
                              int32_t k) {
  const bool over_chosen =
      batch.spec.gate.normalization == WeightNormalization::kChosenSoftmax;
  std::vector<float> raw(chosen_ids.size(), 0.0f);
  for (int64_t token = 0; token < batch.logits.num_rows; ++token) {
    const int64_t begin = token * k;
    const auto id = [&chosen_ids, begin](int64_t r) {
      return chosen_ids[static_cast<size_t>(begin + r)];
    };
    float* const out = raw.data() + begin;
    for (int64_t r = 0; r < k; ++r) {
      if (id(r) < 0) continue;
      out[r] = (over_chosen ? batch.logits.row(token)
                            : batch.scores.values.row(token))[id(r)];
    }
    if (!over_chosen) continue;
    // A broken token's chosen logits may be finite themselves.
    if (std::isnan(batch.scores.values.row(token)[0])) {
      std::fill_n(out, k, std::numeric_limits<float>::quiet_NaN());
      continue;
    }
    float max = -std::numeric_limits<float>::infinity();
    for (int64_t r = 0; r < k; ++r) {
      if (id(r) >= 0) max = std::max(max, out[r]);
    }
    double sum = 0;
    for (int64_t r = 0; r < k; ++r) {
      if (id(r) >= 0) sum += out[r] = std::exp(out[r] - max);
    }
    for (int64_t r = 0; r < k; ++r) {
      if (id(r) >= 0) out[r] /= static_cast<float>(sum);
    }
  }
  return raw;
}

void ChooseExperts(const Batch& batch, RoutingDecision& decision) {
  const GateSpec& gate = batch.spec.gate;
  const GateDraws& draws = *batch.input.draws;
  decision.k = gate.k;
  switch (gate.selection) {
    case Selection::kTopK:
      decision.chosen_ids = SelectTopK(
          gate, {.logits = batch.logits,
                 .scores = batch.scores,
                 .correction_bias = batch.input.score_correction_bias,
                 .draws = draws,
                 .used_tokens = batch.used_tokens});
      break;
    case Selection::kSparseMixer: {
      MixedChoices choices = SelectSparseMixer(
          gate.sparsemixer_epsilon, batch.logits, batch.scores, draws);
      decision.chosen_ids = std::move(choices.expert_ids);
      decision.raw_weights = std::move(choices.weights);
      return;
    }
    case Selection::kExpertChoice: {
      ChosenTokens chosen = SelectByExperts(batch.scores, batch.runs,
                                            ExpertChoiceCapacities(batch));
      decision.k = chosen.k;
      decision.chosen_ids = std::move(chosen.expert_ids);
      break;
    }
  }
  decision.raw_weights = RawWeights(batch, decision.chosen_ids, decision.k);
}

// GShard: the second route stays with probability min(1, 2 w).
void RefuseSecondRoutes(const Tensor& second_uniform, WeightRule rule,
                        const RoutingDecision& decision,
                        std::vector<int32_t>& expert_ids) {
  if (second_uniform.num_elements() == 0) return;
  rule.scaling_factor = 1;
  const std::vector<float> weights =
      CombineWeights(rule, decision.raw_weights, decision.chosen_ids,
                     decision.chosen_ids, decision.k);
  for (int64_t token = 0; token < decision.num_tokens; ++token) {
    const size_t second = static_cast<size_t>(2 * token + 1);
    if (2 * weights[second] <= second_uniform.data()[token]) {
      expert_ids[second] = -1;
    }
  }
}

SlotOrder SlotOrderOf(const GateSpec& gate) {
  return gate.k == 2 || gate.drop_policy == DropPolicy::kPriority
             ? SlotOrder::kChoiceMajor
             : SlotOrder::kTokenMajor;
}

// The drops that are decided by comparing tokens; those by order fall to
// AssignSlots.
void DropByKey(const Batch& batch, const GroupRoutes& group,
               RoutingDecision& decision, std::vector<int32_t>& expert_ids) {
  const GateSpec& gate = batch.spec.gate;
  const Tensor& rts = batch.input.draws->rts_uniform;
  if (gate.drop_policy == DropPolicy::kPriority) return;
  if (gate.k == 1 && rts.num_elements() > 0) {
    KeepLargestKeys(group, rts, decision.k, expert_ids);
  } else if (gate.k > 2 && gate.drop_policy == DropPolicy::kProbs) {
    KeepLargestKeys(group, batch.scores.values, decision.k, expert_ids);
  }
}

void DropAndSlot(const Batch& batch, std::vector<int32_t> expert_ids,
                 RoutingDecision& decision) {
  const GateSpec& gate = batch.spec.gate;
  const bool can_drop = CanDrop(batch.spec.capacity, batch.mode) &&
                        gate.selection != Selection::kExpertChoice;
  SlottedRoutes routes;
  routes.slots.assign(expert_ids.size(), 0);
  routes.kept_counts.assign(static_cast<size_t>(batch.spec.num_experts), 0);
  const int64_t most = *std::max_element(decision.expert_counts.begin(),
                                         decision.expert_counts.end());
  std::vector<GroupRoutes> groups;
  for (const TokenRun run : batch.runs) {
    GroupRoutes group = GroupOf(batch.scores, run);
    group.capacity =
        can_drop ? ExpertCapacity(batch.spec, batch.mode, run.size()) : most;
    decision.capacity = std::max(decision.capacity, group.capacity);
    if (can_drop) DropByKey(batch, group, decision, expert_ids);
    if (gate.drop_policy == DropPolicy::kPriority) {
      OrderByPriority(batch.scores.values, group);
    }
    groups.push_back(std::move(group));
  }
  routes.expert_ids = std::move(expert_ids);
  for (const GroupRoutes& group : groups) {
    AssignSlots(group, decision.k, SlotOrderOf(gate), routes);
  }
  decision.expert_ids = std::move(routes.expert_ids);
  decision.slots = std::move(routes.slots);
  decision.kept_counts = std::move(routes.kept_counts);
}

void TakeLosses(const Batch& batch, RoutingDecision& decision) {
  const bool noisy = batch.input.draws->gaussian.num_elements() > 0;
  AuxLosses losses = ComputeAuxLosses(
      {.gate = batch.spec.gate,
       .logits = batch.logits,
       .clean_logits = noisy ? batch.input.logits : ConstMatrix(),
       .scores = batch.scores.values,
       .chosen_ids = decision.chosen_ids,
       .kept_ids = decision.expert_ids,
       .weights = decision.weights,
       .k = decision.k,
       .used_tokens = batch.used_tokens,
       .local_groups = batch.runs,
       .tokens_per_sequence = batch.input.tokens_per_sequence,
       .step_expert_counts = batch.input.step_expert_counts});
  decision.aux_loss = losses.loss;
  decision.aux_loss_terms = std::move(losses.terms);
  decision.aux_term_slopes = std::move(losses.slopes);
}

Tensor Copy(ConstMatrix matrix) {
  return Tensor::FromSpan(
      {matrix.num_rows, matrix.num_cols},
      {matrix.data, static_cast<size_t>(matrix.num_elements())});
}

bool HasTerm(const GateSpec& gate, AuxLossKind kind) {
  return std::any_of(
      gate.aux_losses.begin(), gate.aux_losses.end(),
      [kind](const AuxLossSpec& loss) { return loss.kind == kind; });
}

// What LogitsGradient cannot do from scores alone.
void KeepLogits(const Batch& batch, RoutingDecision& decision) {
  const GateSpec& gate = batch.spec.gate;
  const bool has_load = HasTerm(gate, AuxLossKind::kLoad) &&
                        batch.input.draws->gaussian.num_elements() > 0;
  if (has_load || HasTerm(gate, AuxLossKind::kZ) ||
      gate.selection == Selection::kSparseMixer) {
    decision.logits = Copy(batch.logits);
  }
  if (has_load) decision.clean_logits = Copy(batch.input.logits);
}

}  // namespace

RoutingDecision RouteTokens(const LayerSpec& spec, Mode mode,
                            const RouterInput& input) {
  const Tensor& noise = input.draws->gaussian;
  static const std::vector<bool>& all_used = *new std::vector<bool>;
  const bool takes_mask =
      spec.gate.k == 1 && spec.gate.selection == Selection::kTopK;
  const Tensor noisy =
      noise.num_elements() > 0 ? AddNoise(input.logits, noise) : Tensor();
  Batch batch = {
      .spec = spec,
      .mode = mode,
      .input = input,
      .logits = noise.num_elements() > 0 ? ConstMatrix(noisy) : input.logits,
      .scores = {},
      .runs = LocalGroups(spec.capacity, input.logits.num_rows,
                          input.tokens_per_sequence),
      .used_tokens = takes_mask ? *input.used_tokens : all_used};
  batch.scores = ComputeScores(spec.gate.score_function, batch.logits);

  RoutingDecision decision;
  decision.num_tokens = batch.logits.num_rows;
  decision.used_tokens = batch.used_tokens;
  ChooseExperts(batch, decision);
  decision.expert_counts = CountRoutes(decision.chosen_ids, spec.num_experts);

  const WeightRule rule = WeightRuleOf(spec.gate);
  std::vector<int32_t> expert_ids = decision.chosen_ids;
  RefuseSecondRoutes(input.draws->second_uniform, rule, decision, expert_ids);
  DropAndSlot(batch, std::move(expert_ids), decision);
  decision.weights =
      CombineWeights(rule, decision.raw_weights, decision.chosen_ids,
                     decision.expert_ids, decision.k);
  TakeLosses(batch, decision);
  KeepLogits(batch, decision);
  decision.scores = std::move(batch.scores.values);
  return decision;
}

}  // namespace switchyard
