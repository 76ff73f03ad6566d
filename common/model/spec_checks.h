// The checks that the parts of a layer's description share.
#ifndef SWITCHYARD_COMMON_MODEL_SPEC_CHECKS_H_
#define SWITCHYARD_COMMON_MODEL_SPEC_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// Largest hidden_size and ffn_size.
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;

// INVALID_ARGUMENT: `field`, below the layer's description, got `got`.
template <typename T>
absl::Status RefuseField(absl::string_view field, const T& got,
                         absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("spec.", field, ": got ", got, ", expected ", expected));
}

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low,
                        int64_t high);
// Finite and >= 0.
absl::Status CheckNonNegative(absl::string_view field, float value);
// Finite and > 0.
absl::Status CheckPositive(absl::string_view field, float value);
// In [0, 1).
absl::Status CheckBelowOne(absl::string_view field, float value);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_SPEC_CHECKS_H_
