#include "common/model/expert_spec.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/spec_checks.h"

namespace switchyard {

absl::Status ValidateExpert(const ExpertSpec& expert, absl::string_view field) {
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&expert)) {
    return CheckRange(absl::StrCat(field, ".mlp.ffn_size"), mlp->ffn_size, 1,
                      kMaxWidth);
  }
  if (const auto* gated = std::get_if<GatedExpertSpec>(&expert)) {
    SWITCHYARD_RETURN_IF_ERROR(CheckRange(
        absl::StrCat(field, ".gated.ffn_size"), gated->ffn_size, 1, kMaxWidth));
    if (!gated->clamp.has_value()) return absl::OkStatus();
    SWITCHYARD_RETURN_IF_ERROR(CheckPositive(
        absl::StrCat(field, ".gated.clamp.limit"), gated->clamp->limit));
    return CheckPositive(absl::StrCat(field, ".gated.clamp.alpha"),
                         gated->clamp->alpha);
  }
  return absl::OkStatus();
}

}  // namespace switchyard
