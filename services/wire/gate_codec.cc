#include "services/wire/gate_codec.h"

#include "common/base/status_macros.h"
#include "common/model/router_presets.h"
#include "services/wire/enum_table.h"

namespace switchyard::wire {
namespace {

constexpr EnumTable<Activation, v1::Activation, 4> kActivations = {{
    {Activation::kRelu, v1::ACTIVATION_RELU},
    {Activation::kGelu, v1::ACTIVATION_GELU},
    {Activation::kGeluTanh, v1::ACTIVATION_GELU_TANH},
    {Activation::kSilu, v1::ACTIVATION_SILU},
}};
constexpr EnumTable<NoisePolicy, v1::NoisePolicy, 4> kNoisePolicies = {{
    {NoisePolicy::kNone, v1::NOISE_POLICY_NONE},
    {NoisePolicy::kJitter, v1::NOISE_POLICY_JITTER},
    {NoisePolicy::kRSample, v1::NOISE_POLICY_RSAMPLE},
    {NoisePolicy::kGaussian, v1::NOISE_POLICY_GAUSSIAN},
}};
constexpr EnumTable<ScoreFunction, v1::ScoreFunction, 3> kScoreFunctions = {{
    {ScoreFunction::kSoftmax, v1::SCORE_FUNCTION_SOFTMAX},
    {ScoreFunction::kSigmoid, v1::SCORE_FUNCTION_SIGMOID},
    {ScoreFunction::kSqrtSoftplus, v1::SCORE_FUNCTION_SQRT_SOFTPLUS},
}};
constexpr EnumTable<Selection, v1::Selection, 3> kSelections = {{
    {Selection::kTopK, v1::SELECTION_TOP_K},
    {Selection::kSparseMixer, v1::SELECTION_SPARSE_MIXER},
    {Selection::kExpertChoice, v1::SELECTION_EXPERT_CHOICE},
}};
constexpr EnumTable<RankBy, v1::RankBy, 2> kRankBys = {{
    {RankBy::kScores, v1::RANK_BY_SCORES},
    {RankBy::kLogits, v1::RANK_BY_LOGITS},
}};
constexpr EnumTable<GroupScore, v1::GroupLimit::Score, 3> kGroupScores = {{
    {GroupScore::kMax, v1::GroupLimit::SCORE_MAX},
    {GroupScore::kTop2Sum, v1::GroupLimit::SCORE_TOP2_SUM},
    {GroupScore::kTopSum, v1::GroupLimit::SCORE_TOP_SUM},
}};
constexpr EnumTable<WeightNormalization, v1::WeightNormalization, 5>
    kNormalizations = {{
        {WeightNormalization::kDeepSpeed, v1::WEIGHT_NORMALIZATION_UNSPECIFIED},
        {WeightNormalization::kNone, v1::WEIGHT_NORMALIZATION_NONE},
        {WeightNormalization::kChosen, v1::WEIGHT_NORMALIZATION_CHOSEN},
        {WeightNormalization::kKept, v1::WEIGHT_NORMALIZATION_KEPT},
        {WeightNormalization::kChosenSoftmax,
         v1::WEIGHT_NORMALIZATION_CHOSEN_SOFTMAX},
    }};
constexpr EnumTable<WeightApplication, v1::WeightApplication, 2>
    kWeightApplications = {{
        {WeightApplication::kOutput, v1::WEIGHT_APPLICATION_OUTPUT},
        {WeightApplication::kInput, v1::WEIGHT_APPLICATION_INPUT},
    }};
constexpr EnumTable<DropPolicy, v1::DropPolicy, 3> kDropPolicies = {{
    {DropPolicy::kProbs, v1::DROP_POLICY_PROBS},
    {DropPolicy::kPosition, v1::DROP_POLICY_POSITION},
    {DropPolicy::kPriority, v1::DROP_POLICY_PRIORITY},
}};
constexpr EnumTable<AuxLossKind, v1::AuxLossKind, 7> kAuxLossKinds = {{
    {AuxLossKind::kSwitch, v1::AUX_LOSS_KIND_SWITCH},
    {AuxLossKind::kGShard, v1::AUX_LOSS_KIND_GSHARD},
    {AuxLossKind::kImportance, v1::AUX_LOSS_KIND_IMPORTANCE},
    {AuxLossKind::kLoad, v1::AUX_LOSS_KIND_LOAD},
    {AuxLossKind::kZ, v1::AUX_LOSS_KIND_Z},
    {AuxLossKind::kSequence, v1::AUX_LOSS_KIND_SEQUENCE},
    {AuxLossKind::kGlobalBatch, v1::AUX_LOSS_KIND_GLOBAL_BATCH},
}};

// Overwrites `value` if the message's is set, i.e. not 0.
template <typename Ours, typename Theirs, size_t kSize>
absl::Status DecodeIfSet(const EnumTable<Ours, Theirs, kSize>& table,
                         Theirs message, absl::string_view field,
                         absl::string_view type, Ours& value) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const Ours decoded,
      DecodeEnum(table, message, std::optional<Ours>(value), field, type));
  if (static_cast<int>(message) != 0) value = decoded;
  return absl::OkStatus();
}

absl::Status DecodeEnums(const v1::GateSpec& message, GateSpec& gate) {
  SWITCHYARD_RETURN_IF_ERROR(DecodeIfSet(kNoisePolicies, message.noise_policy(),
                                         "gate.noise_policy", "NoisePolicy",
                                         gate.noise_policy));
  SWITCHYARD_RETURN_IF_ERROR(DecodeIfSet(kDropPolicies, message.drop_policy(),
                                         "gate.drop_policy", "DropPolicy",
                                         gate.drop_policy));
  SWITCHYARD_RETURN_IF_ERROR(
      DecodeIfSet(kScoreFunctions, message.score_function(),
                  "gate.score_function", "ScoreFunction", gate.score_function));
  SWITCHYARD_RETURN_IF_ERROR(DecodeIfSet(kSelections, message.selection(),
                                         "gate.selection", "Selection",
                                         gate.selection));
  SWITCHYARD_RETURN_IF_ERROR(DecodeIfSet(
      kRankBys, message.rank_by(), "gate.rank_by", "RankBy", gate.rank_by));
  SWITCHYARD_RETURN_IF_ERROR(DecodeIfSet(
      kNormalizations, message.normalization(), "gate.normalization",
      "WeightNormalization", gate.normalization));
  return DecodeIfSet(kWeightApplications, message.weight_application(),
                     "gate.weight_application", "WeightApplication",
                     gate.weight_application);
}

void DecodeFlags(const v1::GateSpec& message, GateSpec& gate) {
  if (message.has_use_rts()) gate.use_rts = message.use_rts();
  if (message.has_second_expert_sampling()) {
    gate.second_expert_sampling = message.second_expert_sampling();
  }
  if (message.has_second_expert_random()) {
    gate.second_expert_random = message.second_expert_random();
  }
  if (message.has_bias()) gate.bias = message.bias();
  if (message.has_score_correction_bias()) {
    gate.score_correction_bias = message.score_correction_bias();
  }
  if (message.has_jitter_expert_input()) {
    gate.jitter_expert_input = message.jitter_expert_input();
  }
}

void DecodeNumbers(const v1::GateSpec& message, GateSpec& gate) {
  if (message.k() != 0) gate.k = message.k();
  if (message.has_bias_update_rate()) {
    gate.bias_update_rate = message.bias_update_rate();
  }
  if (message.has_normalization_floor()) {
    gate.normalization_floor = message.normalization_floor();
  }
  if (message.has_normalization_epsilon()) {
    gate.normalization_epsilon = message.normalization_epsilon();
  }
  if (message.has_scaling_factor()) {
    gate.scaling_factor = message.scaling_factor();
  }
  if (message.has_jitter_epsilon()) {
    gate.jitter_epsilon = message.jitter_epsilon();
  }
  if (message.has_gaussian_std()) gate.gaussian_std = message.gaussian_std();
  if (message.has_sparsemixer_epsilon()) {
    gate.sparsemixer_epsilon = message.sparsemixer_epsilon();
  }
}

absl::StatusOr<GroupLimitSpec> DecodeGroupLimit(const v1::GroupLimit& message) {
  GroupLimitSpec limit;
  limit.num_groups = message.num_groups();
  limit.num_selected_groups = message.num_selected_groups();
  limit.mask_with_zero = message.mask_with_zero();
  SWITCHYARD_RETURN_IF_ERROR(DecodeIfSet(kGroupScores, message.score(),
                                         "gate.group_limit.score",
                                         "GroupLimit.Score", limit.score));
  return limit;
}

absl::StatusOr<AuxLossSpec> DecodeAuxLoss(const v1::AuxLoss& message) {
  AuxLossSpec loss;
  SWITCHYARD_ASSIGN_OR_RETURN(
      loss.kind,
      DecodeEnum(kAuxLossKinds, message.kind(), std::optional<AuxLossKind>(),
                 "gate.aux_losses.kind", "AuxLossKind"));
  if (message.has_coefficient()) loss.coefficient = message.coefficient();
  return loss;
}

void EncodeGroupLimit(const GroupLimitSpec& limit, v1::GroupLimit& message) {
  message.set_num_groups(limit.num_groups);
  message.set_num_selected_groups(limit.num_selected_groups);
  message.set_score(EncodeEnum(kGroupScores, limit.score));
  message.set_mask_with_zero(limit.mask_with_zero);
}

GatedExpertSpec DecodeClamp(const v1::ExpertSpec::Gated& message,
                            GatedExpertSpec gated) {
  if (!message.has_clamp()) return gated;
  gated.clamp.emplace();
  if (message.clamp().has_limit()) gated.clamp->limit = message.clamp().limit();
  if (message.clamp().has_alpha()) gated.clamp->alpha = message.clamp().alpha();
  return gated;
}

}  // namespace

absl::StatusOr<GateSpec> DecodeGate(const v1::GateSpec& message) {
  GateSpec gate;
  if (!message.preset().empty()) {
    SWITCHYARD_ASSIGN_OR_RETURN(gate, RouterPreset(message.preset()));
  }
  SWITCHYARD_RETURN_IF_ERROR(DecodeEnums(message, gate));
  DecodeFlags(message, gate);
  DecodeNumbers(message, gate);
  if (message.has_group_limit()) {
    SWITCHYARD_ASSIGN_OR_RETURN(gate.group_limit,
                                DecodeGroupLimit(message.group_limit()));
  }
  if (message.aux_losses_size() > 0) gate.aux_losses.clear();
  for (const v1::AuxLoss& loss : message.aux_losses()) {
    SWITCHYARD_ASSIGN_OR_RETURN(const AuxLossSpec decoded, DecodeAuxLoss(loss));
    gate.aux_losses.push_back(decoded);
  }
  return gate;
}

v1::GateSpec EncodeGate(const GateSpec& gate) {
  v1::GateSpec message;
  message.set_k(gate.k);
  message.set_noise_policy(EncodeEnum(kNoisePolicies, gate.noise_policy));
  message.set_use_rts(gate.use_rts);
  message.set_second_expert_sampling(gate.second_expert_sampling);
  message.set_second_expert_random(gate.second_expert_random);
  message.set_drop_policy(EncodeEnum(kDropPolicies, gate.drop_policy));
  message.set_bias(gate.bias);
  message.set_score_function(EncodeEnum(kScoreFunctions, gate.score_function));
  message.set_selection(EncodeEnum(kSelections, gate.selection));
  message.set_rank_by(EncodeEnum(kRankBys, gate.rank_by));
  message.set_score_correction_bias(gate.score_correction_bias);
  message.set_bias_update_rate(gate.bias_update_rate);
  if (gate.group_limit.has_value()) {
    EncodeGroupLimit(*gate.group_limit, *message.mutable_group_limit());
  }
  message.set_normalization(EncodeEnum(kNormalizations, gate.normalization));
  message.set_normalization_floor(gate.normalization_floor);
  message.set_normalization_epsilon(gate.normalization_epsilon);
  message.set_scaling_factor(gate.scaling_factor);
  message.set_weight_application(
      EncodeEnum(kWeightApplications, gate.weight_application));
  message.set_jitter_epsilon(gate.jitter_epsilon);
  message.set_jitter_expert_input(gate.jitter_expert_input);
  message.set_gaussian_std(gate.gaussian_std);
  message.set_sparsemixer_epsilon(gate.sparsemixer_epsilon);
  for (const AuxLossSpec& loss : gate.aux_losses) {
    v1::AuxLoss& encoded = *message.add_aux_losses();
    encoded.set_kind(EncodeEnum(kAuxLossKinds, loss.kind));
    encoded.set_coefficient(loss.coefficient);
  }
  return message;
}

absl::StatusOr<ExpertSpec> DecodeExpert(const v1::ExpertSpec& message,
                                        absl::string_view field) {
  switch (message.kind_case()) {
    case v1::ExpertSpec::kLinear: {
      LinearExpertSpec linear;
      if (message.linear().has_bias()) linear.bias = message.linear().bias();
      return linear;
    }
    case v1::ExpertSpec::kMlp: {
      MlpExpertSpec mlp;
      mlp.ffn_size = message.mlp().ffn_size();
      SWITCHYARD_RETURN_IF_ERROR(
          DecodeIfSet(kActivations, message.mlp().activation(),
                      absl::StrCat(field, ".mlp.activation"), "Activation",
                      mlp.activation));
      if (message.mlp().has_bias()) mlp.bias = message.mlp().bias();
      return mlp;
    }
    case v1::ExpertSpec::kGated: {
      GatedExpertSpec gated;
      gated.ffn_size = message.gated().ffn_size();
      gated.bias = message.gated().bias();
      SWITCHYARD_RETURN_IF_ERROR(
          DecodeIfSet(kActivations, message.gated().activation(),
                      absl::StrCat(field, ".gated.activation"), "Activation",
                      gated.activation));
      return DecodeClamp(message.gated(), gated);
    }
    case v1::ExpertSpec::kIdentity:
      return IdentityExpertSpec();
    case v1::ExpertSpec::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("spec.", field,
                   ": got no kind, expected linear, mlp, gated or identity"));
}

v1::ExpertSpec EncodeExpert(const ExpertSpec& expert) {
  v1::ExpertSpec message;
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&expert)) {
    message.mutable_mlp()->set_ffn_size(mlp->ffn_size);
    message.mutable_mlp()->set_activation(
        EncodeEnum(kActivations, mlp->activation));
    message.mutable_mlp()->set_bias(mlp->bias);
  } else if (const auto* gated = std::get_if<GatedExpertSpec>(&expert)) {
    v1::ExpertSpec::Gated& encoded = *message.mutable_gated();
    encoded.set_ffn_size(gated->ffn_size);
    encoded.set_activation(EncodeEnum(kActivations, gated->activation));
    encoded.set_bias(gated->bias);
    if (gated->clamp.has_value()) {
      encoded.mutable_clamp()->set_limit(gated->clamp->limit);
      encoded.mutable_clamp()->set_alpha(gated->clamp->alpha);
    }
  } else if (const auto* linear = std::get_if<LinearExpertSpec>(&expert)) {
    message.mutable_linear()->set_bias(linear->bias);
  } else {
    message.mutable_identity();
  }
  return message;
}

}  // namespace switchyard::wire
