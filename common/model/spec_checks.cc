#include "common/model/spec_checks.h"

#include <cmath>

namespace switchyard {

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return RefuseField(field, value, absl::StrCat(low, " to ", high));
}

absl::Status CheckNonNegative(absl::string_view field, float value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return RefuseField(field, value, "a finite number >= 0");
}

absl::Status CheckPositive(absl::string_view field, float value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return RefuseField(field, value, "a finite number > 0");
}

absl::Status CheckBelowOne(absl::string_view field, float value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return RefuseField(field, value, "a number in [0, 1)");
}

}  // namespace switchyard
