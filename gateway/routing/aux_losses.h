// The terms of the auxiliary loss. docs/routers.md lists formulas, sources and
// values at perfect balance.
//
// Notation: T tokens, p[t, e] a token's probabilities (its scores, divided by
// their sum unless they are a softmax), P_e their mean over the tokens, f_e the
// share of expert e in all routes, chosen before any dropping. Sums are taken
// in float64, in order of token and expert. A NaN probability makes every term
// NaN; no tokens make it 0. Tokens that are not used take no part, but for
// DeepSpeed's own loss, whose means are over all of them.
#ifndef SWITCHYARD_GATEWAY_ROUTING_AUX_LOSSES_H_
#define SWITCHYARD_GATEWAY_ROUTING_AUX_LOSSES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/model/gate_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/local_groups.h"

namespace switchyard {

// One batch, borrowed.
struct AuxLossInput {
  const GateSpec& gate;
  // [tokens, num_experts] what the scores were made of, noise included.
  ConstMatrix logits;
  // The same without noise; no elements where none was drawn.
  ConstMatrix clean_logits;
  ConstMatrix scores;
  // [tokens * k] before dropping, -1: none.
  absl::Span<const int32_t> chosen_ids;
  // [tokens * k] after dropping.
  absl::Span<const int32_t> kept_ids;
  absl::Span<const float> weights;
  int32_t k = 1;
  // Empty: all.
  const std::vector<bool>& used_tokens;
  // Balance is looked at in each, and averaged by tokens.
  const std::vector<TokenRun>& local_groups;
  int64_t tokens_per_sequence = 0;
  // Of the step's earlier microbatches; empty: none.
  absl::Span<const int64_t> step_expert_counts;
};

// How a term changes with what it is made of: the balance terms (DeepSpeed's,
// SWITCH, GSHARD, SEQUENCE, GLOBAL_BATCH) with p[t, e] in each run of tokens;
// IMPORTANCE with a weight to expert e, LOAD with the load of expert e, Z with
// logsumexp^2 of a token, each in one run.
struct AuxTermSlopes {
  std::vector<TokenRun> runs;
  // [runs, num_experts], or [1] for Z.
  std::vector<float> slopes;
};

struct AuxLosses {
  // Sum of coefficient * term.
  float loss = 0;
  // One per entry of gate.aux_losses; DeepSpeed's loss where that is empty.
  std::vector<float> terms;
  std::vector<AuxTermSlopes> slopes;
};

AuxLosses ComputeAuxLosses(const AuxLossInput& input);

// The entries of gate.aux_losses, or one that stands for DeepSpeed's loss:
// GSHARD for k <= 2, SWITCH above.
std::vector<AuxLossSpec> AuxLossesOf(const GateSpec& gate);

// Whether a term is made of the probabilities of a token.
bool IsBalanceTerm(AuxLossKind kind);

// Shazeer et al., 2017, equations 8 to 10: the noisy logits that expert e has
// to beat to be among the token's k, and whose they are. Working memory is kept
// from token to token.
class LoadThresholds {
 public:
  LoadThresholds(int64_t num_experts, int32_t k);

  struct Threshold {
    // -1: there is none to beat, the expert is always chosen.
    int64_t expert = -1;
    float logit = 0;
  };
  // For the next calls of Of.
  void SetToken(const float* noisy_logits);
  // Largest of the token's others that is not among the k without e.
  Threshold Of(int64_t e) const;

 private:
  const float* noisy_logits_ = nullptr;
  const int64_t k_;
  std::vector<int64_t> ranking_;
  std::vector<bool> is_top_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_ROUTING_AUX_LOSSES_H_
