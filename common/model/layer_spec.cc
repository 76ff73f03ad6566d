#include "common/model/layer_spec.h"

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/model/parameters.h"
#include "common/model/spec_checks.h"

namespace switchyard {
namespace {

constexpr int64_t kMaxExperts = int64_t{1} << 16;
constexpr size_t kMaxNameLength = 128;
constexpr size_t kMaxParameterDTypes = 64;

absl::Status ValidateName(const std::string& name) {
  bool valid = !name.empty() && name.size() <= kMaxNameLength;
  for (const char c : name) {
    valid = valid && (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                      c == '.' || c == '_' || c == '/' || c == '-');
  }
  if (valid) return absl::OkStatus();
  return RefuseField("name", absl::StrCat("'", absl::CHexEscape(name), "'"),
                     "1 to 128 characters out of [A-Za-z0-9._/-]");
}

absl::Status ValidateCapacity(const CapacitySpec& capacity) {
  SWITCHYARD_RETURN_IF_ERROR(
      CheckPositive("capacity.capacity_factor", capacity.capacity_factor));
  if (capacity.eval_capacity_factor.has_value()) {
    SWITCHYARD_RETURN_IF_ERROR(CheckPositive("capacity.eval_capacity_factor",
                                             *capacity.eval_capacity_factor));
  }
  SWITCHYARD_RETURN_IF_ERROR(CheckRange(
      "capacity.min_capacity", capacity.min_capacity, 0, int64_t{1} << 40));
  constexpr int64_t kMaxTokens = int64_t{1} << 31;
  SWITCHYARD_RETURN_IF_ERROR(CheckRange("capacity.local_group_tokens",
                                        capacity.local_group_tokens, 0,
                                        kMaxTokens));
  if (capacity.per_sequence && capacity.local_group_tokens > 0) {
    return RefuseField("capacity.local_group_tokens",
                       capacity.local_group_tokens, "0 with per_sequence");
  }
  SWITCHYARD_RETURN_IF_ERROR(CheckRange(
      "capacity.expert_capacity", capacity.expert_capacity, 0, kMaxTokens));
  if (capacity.eval_expert_capacity > 0 &&
      capacity.eval_capacity_factor.has_value()) {
    return RefuseField("capacity.eval_expert_capacity",
                       capacity.eval_expert_capacity,
                       "0 with eval_capacity_factor");
  }
  if (!(capacity.eval_token_fraction >= 0 &&
        capacity.eval_token_fraction <= 1)) {
    return RefuseField("capacity.eval_token_fraction",
                       capacity.eval_token_fraction, "a number in [0, 1]");
  }
  if (capacity.eval_token_fraction > 0 &&
      (capacity.eval_expert_capacity > 0 ||
       capacity.eval_capacity_factor.has_value())) {
    return RefuseField("capacity.eval_token_fraction",
                       capacity.eval_token_fraction,
                       "0 with eval_expert_capacity or eval_capacity_factor");
  }
  return CheckRange("capacity.eval_expert_capacity",
                    capacity.eval_expert_capacity, 0, kMaxTokens);
}

absl::Status ValidateDenseBranch(const LayerSpec& spec) {
  if (!spec.dense_branch.has_value()) return absl::OkStatus();
  if (spec.gate.weight_application == WeightApplication::kInput &&
      spec.dense_branch->mix != BranchMix::kSum) {
    return RefuseField("dense_branch.mix", "a weighted one",
                       "SUM where gate.weight_application is INPUT");
  }
  return ValidateExpert(spec.dense_branch->expert, "dense_branch.expert");
}

absl::Status ValidateParameterDTypes(const LayerSpec& spec) {
  if (spec.parameter_dtypes.size() > kMaxParameterDTypes) {
    return RefuseField("parameter_dtypes",
                       absl::StrCat(spec.parameter_dtypes.size(), " entries"),
                       absl::StrCat("at most ", kMaxParameterDTypes));
  }
  std::set<std::string> known = ParameterPatterns(spec);
  for (size_t i = 0; i < spec.parameter_dtypes.size(); ++i) {
    const std::string& name = spec.parameter_dtypes[i].parameter;
    if (known.erase(name) == 1) continue;
    return RefuseField(
        absl::StrCat("parameter_dtypes[", i, "].parameter"),
        absl::StrCat("'", absl::CHexEscape(name.substr(0, 128)), "'"),
        "the name of a parameter, * for the expert id, each once");
  }
  return absl::OkStatus();
}

absl::Status ValidateOrigin(const LayerSpec& spec) {
  if (!spec.origin.has_value()) return absl::OkStatus();
  constexpr size_t kMaxLength = 256;
  if (spec.origin->model_type.size() > kMaxLength ||
      spec.origin->module.size() > kMaxLength) {
    return RefuseField("origin", "a text of more than 256 characters",
                       "at most 256");
  }
  return absl::OkStatus();
}

absl::Status ValidateSgd(const SgdSpec& sgd) {
  SWITCHYARD_RETURN_IF_ERROR(
      CheckBelowOne("optimizer.sgd.momentum", sgd.momentum));
  return CheckNonNegative("optimizer.sgd.weight_decay", sgd.weight_decay);
}

absl::Status ValidateAdam(const AdamSpec& adam) {
  const absl::string_view prefix =
      adam.decoupled ? "optimizer.adamw." : "optimizer.adam.";
  SWITCHYARD_RETURN_IF_ERROR(
      CheckBelowOne(absl::StrCat(prefix, "beta1"), adam.beta1));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckBelowOne(absl::StrCat(prefix, "beta2"), adam.beta2));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckPositive(absl::StrCat(prefix, "epsilon"), adam.epsilon));
  return CheckNonNegative(absl::StrCat(prefix, "weight_decay"),
                          adam.weight_decay);
}

}  // namespace

absl::Status Validate(const LayerSpec& spec) {
  SWITCHYARD_RETURN_IF_ERROR(ValidateName(spec.name));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckRange("hidden_size", spec.hidden_size, 1, kMaxWidth));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckRange("num_experts", spec.num_experts, 1, kMaxExperts));
  SWITCHYARD_RETURN_IF_ERROR(ValidateExpert(spec.expert, "expert"));
  SWITCHYARD_RETURN_IF_ERROR(ValidateGate(spec.gate, spec.num_experts));
  SWITCHYARD_RETURN_IF_ERROR(ValidateCapacity(spec.capacity));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckNonNegative("aux_loss_coefficient", spec.aux_loss_coefficient));
  if (const auto* sgd = std::get_if<SgdSpec>(&spec.optimizer)) {
    SWITCHYARD_RETURN_IF_ERROR(ValidateSgd(*sgd));
  } else {
    SWITCHYARD_RETURN_IF_ERROR(
        ValidateAdam(std::get<AdamSpec>(spec.optimizer)));
  }
  SWITCHYARD_RETURN_IF_ERROR(ValidateDenseBranch(spec));
  SWITCHYARD_RETURN_IF_ERROR(ValidateParameterDTypes(spec));
  SWITCHYARD_RETURN_IF_ERROR(ValidateOrigin(spec));
  if (spec.int8_weights && !spec.inference_only) {
    return RefuseField("int8_weights", "true for a layer that trains",
                       "inference_only beside it");
  }
  return CheckRange("ep_size", spec.ep_size, 0, spec.num_experts);
}

}  // namespace switchyard
