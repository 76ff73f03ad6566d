#include "common/model/layer_spec.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxExperts = int64_t{1} << 16;
constexpr size_t kMaxNameLength = 128;

template <typename T>
absl::Status Refuse(absl::string_view field, const T& got,
                    absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("spec.", field, ": got ", got, ", expected ", expected));
}

absl::Status ValidateName(const std::string& name) {
  bool valid = !name.empty() && name.size() <= kMaxNameLength;
  for (const char c : name) {
    valid = valid && (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                      c == '.' || c == '_' || c == '/' || c == '-');
  }
  if (valid) return absl::OkStatus();
  return Refuse("name", absl::StrCat("'", absl::CHexEscape(name), "'"),
                "1 to 128 characters out of [A-Za-z0-9._/-]");
}

absl::Status ValidateRange(absl::string_view field, int64_t value, int64_t low,
                           int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Refuse(field, value, absl::StrCat(low, " to ", high));
}

absl::Status ValidateNonNegative(absl::string_view field, float value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Refuse(field, value, "a finite number >= 0");
}

absl::Status ValidatePositive(absl::string_view field, float value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return Refuse(field, value, "a finite number > 0");
}

absl::Status ValidateBelowOne(absl::string_view field, float value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return Refuse(field, value, "a number in [0, 1)");
}

absl::Status ValidateCapacity(const CapacitySpec& capacity) {
  SWITCHYARD_RETURN_IF_ERROR(
      ValidatePositive("capacity.capacity_factor", capacity.capacity_factor));
  if (capacity.eval_capacity_factor.has_value()) {
    SWITCHYARD_RETURN_IF_ERROR(ValidatePositive(
        "capacity.eval_capacity_factor", *capacity.eval_capacity_factor));
  }
  return ValidateRange("capacity.min_capacity", capacity.min_capacity, 0,
                       int64_t{1} << 40);
}

absl::Status ValidateSgd(const SgdSpec& sgd) {
  SWITCHYARD_RETURN_IF_ERROR(
      ValidateBelowOne("optimizer.sgd.momentum", sgd.momentum));
  return ValidateNonNegative("optimizer.sgd.weight_decay", sgd.weight_decay);
}

absl::Status ValidateAdam(const AdamSpec& adam) {
  const absl::string_view prefix =
      adam.decoupled ? "optimizer.adamw." : "optimizer.adam.";
  SWITCHYARD_RETURN_IF_ERROR(
      ValidateBelowOne(absl::StrCat(prefix, "beta1"), adam.beta1));
  SWITCHYARD_RETURN_IF_ERROR(
      ValidateBelowOne(absl::StrCat(prefix, "beta2"), adam.beta2));
  SWITCHYARD_RETURN_IF_ERROR(
      ValidatePositive(absl::StrCat(prefix, "epsilon"), adam.epsilon));
  return ValidateNonNegative(absl::StrCat(prefix, "weight_decay"),
                             adam.weight_decay);
}

}  // namespace

absl::Status Validate(const LayerSpec& spec) {
  SWITCHYARD_RETURN_IF_ERROR(ValidateName(spec.name));
  SWITCHYARD_RETURN_IF_ERROR(
      ValidateRange("hidden_size", spec.hidden_size, 1, kMaxWidth));
  SWITCHYARD_RETURN_IF_ERROR(
      ValidateRange("num_experts", spec.num_experts, 1, kMaxExperts));
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&spec.expert)) {
    SWITCHYARD_RETURN_IF_ERROR(
        ValidateRange("expert.mlp.ffn_size", mlp->ffn_size, 1, kMaxWidth));
  }
  if (spec.gate.k < 1 || spec.gate.k > spec.num_experts) {
    return Refuse("gate.k", spec.gate.k,
                  absl::StrCat("1 to num_experts (", spec.num_experts, ")"));
  }
  SWITCHYARD_RETURN_IF_ERROR(ValidateCapacity(spec.capacity));
  SWITCHYARD_RETURN_IF_ERROR(
      ValidateNonNegative("aux_loss_coefficient", spec.aux_loss_coefficient));
  if (const auto* sgd = std::get_if<SgdSpec>(&spec.optimizer)) {
    SWITCHYARD_RETURN_IF_ERROR(ValidateSgd(*sgd));
  } else {
    SWITCHYARD_RETURN_IF_ERROR(
        ValidateAdam(std::get<AdamSpec>(spec.optimizer)));
  }
  return ValidateRange("ep_size", spec.ep_size, 0, spec.num_experts);
}

}  // namespace switchyard
