// How a layer's gate turns tokens into routes. Mirrors GateSpec of
// proto/switchyard/v1/layer.proto, where each field's meaning and default is
// documented; docs/routers.md shows how the models of the field are composed of
// it.
#ifndef SWITCHYARD_COMMON_MODEL_GATE_SPEC_H_
#define SWITCHYARD_COMMON_MODEL_GATE_SPEC_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"

namespace switchyard {

enum class NoisePolicy { kNone, kJitter, kRSample, kGaussian };
enum class ScoreFunction { kSoftmax, kSigmoid, kSqrtSoftplus };
enum class Selection { kTopK, kSparseMixer, kExpertChoice };
enum class RankBy { kScores, kLogits };
enum class DropPolicy { kProbs, kPosition, kPriority };
enum class WeightNormalization {
  // By k, as DeepSpeed: k = 1 none, else over kept routes.
  kDeepSpeed,
  kNone,
  // Over the chosen experts, before any dropping.
  kChosen,
  // Over the routes that were kept.
  kKept,
  // Softmax over the logits of the chosen experts.
  kChosenSoftmax,
};
enum class WeightApplication { kOutput, kInput };
enum class GroupScore { kMax, kTop2Sum, kTopSum };
enum class AuxLossKind {
  kSwitch,
  kGShard,
  kImportance,
  kLoad,
  kZ,
  kSequence,
  kGlobalBatch,
};

struct AuxLossSpec {
  AuxLossKind kind = AuxLossKind::kSwitch;
  float coefficient = 1.0f;
};

// Only experts of the best groups can be chosen.
struct GroupLimitSpec {
  int32_t num_groups = 1;
  int32_t num_selected_groups = 1;
  GroupScore score = GroupScore::kMax;
  // Experts of other groups get the score 0 instead of -inf.
  bool mask_with_zero = false;
};

struct GateSpec {
  int32_t k = 1;
  bool bias = false;
  ScoreFunction score_function = ScoreFunction::kSoftmax;
  Selection selection = Selection::kTopK;
  RankBy rank_by = RankBy::kScores;
  bool score_correction_bias = false;
  float bias_update_rate = 0.0f;
  std::optional<GroupLimitSpec> group_limit;
  WeightNormalization normalization = WeightNormalization::kDeepSpeed;
  // Weights are divided by max(sum, floor) + epsilon.
  float normalization_floor = 0.0f;
  float normalization_epsilon = 0.0f;
  float scaling_factor = 1.0f;
  WeightApplication weight_application = WeightApplication::kOutput;

  NoisePolicy noise_policy = NoisePolicy::kNone;
  float jitter_epsilon = 0.01f;
  bool jitter_expert_input = false;
  float gaussian_std = 1.0f;
  float sparsemixer_epsilon = 0.01f;

  bool use_rts = true;
  bool second_expert_sampling = false;
  bool second_expert_random = false;
  DropPolicy drop_policy = DropPolicy::kProbs;

  // Empty: DeepSpeed's balancing loss with coefficient 1.
  std::vector<AuxLossSpec> aux_losses;
};

// INVALID_ARGUMENT naming the first field, from `spec.gate` on, that is out of
// range or does not go with another.
absl::Status ValidateGate(const GateSpec& gate, int32_t num_experts);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_GATE_SPEC_H_
