#include "common/model/gate_spec.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/spec_checks.h"

namespace switchyard {
namespace {

absl::Status ValidateGroupLimit(const GateSpec& gate, int32_t num_experts) {
  if (!gate.group_limit.has_value()) return absl::OkStatus();
  const GroupLimitSpec& limit = *gate.group_limit;
  SWITCHYARD_RETURN_IF_ERROR(CheckRange("gate.group_limit.num_groups",
                                        limit.num_groups, 1, num_experts));
  if (num_experts % limit.num_groups != 0) {
    return RefuseField(
        "gate.group_limit.num_groups", limit.num_groups,
        absl::StrCat("a divisor of num_experts (", num_experts, ")"));
  }
  SWITCHYARD_RETURN_IF_ERROR(CheckRange("gate.group_limit.num_selected_groups",
                                        limit.num_selected_groups, 1,
                                        limit.num_groups));
  const int32_t experts_per_group = num_experts / limit.num_groups;
  const int32_t num_allowed = experts_per_group * limit.num_selected_groups;
  if (gate.k > num_allowed) {
    return RefuseField("gate.k", gate.k,
                       absl::StrCat("at most ", num_allowed,
                                    ", the experts in the selected groups"));
  }
  if (limit.score == GroupScore::kTop2Sum && experts_per_group < 2) {
    return RefuseField("gate.group_limit.num_groups", limit.num_groups,
                       "groups of at least 2 experts for TOP2_SUM");
  }
  if (gate.selection != Selection::kTopK) {
    return RefuseField("gate.group_limit", "one",
                       "none but with selection TOP_K");
  }
  return absl::OkStatus();
}

absl::Status ValidateSelection(const GateSpec& gate) {
  if (gate.selection == Selection::kSparseMixer) {
    if (gate.k != 2) {
      return RefuseField("gate.k", gate.k, "2 with selection SPARSE_MIXER");
    }
    return CheckBelowOne("gate.sparsemixer_epsilon", gate.sparsemixer_epsilon);
  }
  return absl::OkStatus();
}

absl::Status ValidateCorrectionBias(const GateSpec& gate) {
  SWITCHYARD_RETURN_IF_ERROR(
      CheckNonNegative("gate.bias_update_rate", gate.bias_update_rate));
  if (gate.bias_update_rate > 0 && !gate.score_correction_bias) {
    return RefuseField("gate.bias_update_rate", gate.bias_update_rate,
                       "0 without score_correction_bias");
  }
  if (gate.score_correction_bias && gate.selection != Selection::kTopK) {
    return RefuseField("gate.score_correction_bias", "true",
                       "false but with selection TOP_K");
  }
  return absl::OkStatus();
}

absl::Status ValidateNoise(const GateSpec& gate) {
  SWITCHYARD_RETURN_IF_ERROR(
      CheckBelowOne("gate.jitter_epsilon", gate.jitter_epsilon));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckPositive("gate.gaussian_std", gate.gaussian_std));
  if (gate.second_expert_sampling && gate.second_expert_random) {
    return RefuseField("gate.second_expert_random", "true",
                       "false with second_expert_sampling");
  }
  if (gate.second_expert_random && gate.k != 2) {
    return RefuseField("gate.second_expert_random", "true",
                       absl::StrCat("false for k = ", gate.k));
  }
  if (gate.second_expert_random && gate.selection != Selection::kTopK) {
    return RefuseField("gate.second_expert_random", "true",
                       "false but with selection TOP_K");
  }
  const bool samples =
      (gate.k == 2 && gate.second_expert_sampling) ||
      (gate.k == 1 && gate.noise_policy == NoisePolicy::kRSample);
  if (samples && gate.score_correction_bias) {
    return RefuseField("gate.score_correction_bias", "true",
                       "false where experts are sampled (RSAMPLE, "
                       "second_expert_sampling)");
  }
  return absl::OkStatus();
}

absl::Status ValidateAuxLosses(const GateSpec& gate) {
  constexpr size_t kMaxAuxLosses = 16;
  if (gate.aux_losses.size() > kMaxAuxLosses) {
    return RefuseField("gate.aux_losses",
                       absl::StrCat(gate.aux_losses.size(), " entries"),
                       absl::StrCat("at most ", kMaxAuxLosses));
  }
  for (size_t i = 0; i < gate.aux_losses.size(); ++i) {
    const AuxLossSpec& loss = gate.aux_losses[i];
    SWITCHYARD_RETURN_IF_ERROR(
        CheckNonNegative(absl::StrCat("gate.aux_losses[", i, "].coefficient"),
                         loss.coefficient));
    if (loss.kind == AuxLossKind::kLoad &&
        gate.noise_policy != NoisePolicy::kGaussian) {
      return RefuseField(absl::StrCat("gate.aux_losses[", i, "].kind"), "LOAD",
                         "another without noise_policy GAUSSIAN");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateGate(const GateSpec& gate, int32_t num_experts) {
  if (gate.k < 1 || gate.k > num_experts) {
    return RefuseField("gate.k", gate.k,
                       absl::StrCat("1 to num_experts (", num_experts, ")"));
  }
  SWITCHYARD_RETURN_IF_ERROR(ValidateGroupLimit(gate, num_experts));
  SWITCHYARD_RETURN_IF_ERROR(ValidateSelection(gate));
  SWITCHYARD_RETURN_IF_ERROR(ValidateCorrectionBias(gate));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckNonNegative("gate.normalization_floor", gate.normalization_floor));
  SWITCHYARD_RETURN_IF_ERROR(CheckNonNegative("gate.normalization_epsilon",
                                              gate.normalization_epsilon));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckPositive("gate.scaling_factor", gate.scaling_factor));
  SWITCHYARD_RETURN_IF_ERROR(ValidateNoise(gate));
  return ValidateAuxLosses(gate);
}

}  // namespace switchyard
