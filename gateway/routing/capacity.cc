#include "gateway/routing/capacity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

namespace switchyard {
namespace {

constexpr int64_t kMaxCapacity = int64_t{1} << 62;

// The float64 nearest to the shortest decimal that reads back as `value`.
double NearestShortDecimal(float value) {
  std::array<char, 32> digits;  // A float32 takes at most 15.
  char* const begin = digits.data();
  const std::to_chars_result written =
      std::to_chars(begin, begin + digits.size(), value);
  double decimal = value;
  std::from_chars(begin, written.ptr, decimal);
  return decimal;
}

}  // namespace

int64_t ExpertCapacity(int64_t num_tokens, int32_t num_experts,
                       float capacity_factor, int32_t k, int64_t min_capacity) {
  const float tokens_per_expert = static_cast<float>(
      static_cast<double>(num_tokens) / static_cast<double>(num_experts));
  const float factor =
      static_cast<float>(NearestShortDecimal(capacity_factor) * k);
  const float slots = std::ceil(tokens_per_expert * factor);
  // The comparison also catches infinity and NaN, which no cast survives.
  if (!(slots < static_cast<float>(kMaxCapacity))) return kMaxCapacity;
  return std::max(static_cast<int64_t>(slots), min_capacity);
}

bool CanDrop(const CapacitySpec& capacity, Mode mode) {
  if (mode == Mode::kTrain) return capacity.drop_tokens;
  return capacity.eval_capacity_factor.has_value() ||
         capacity.eval_expert_capacity > 0 || capacity.eval_token_fraction > 0;
}

int64_t ExpertCapacity(const LayerSpec& spec, Mode mode, int64_t num_tokens) {
  const CapacitySpec& capacity = spec.capacity;
  const int64_t fixed = mode == Mode::kTrain ? capacity.expert_capacity
                                             : capacity.eval_expert_capacity;
  if (fixed > 0) return fixed;
  if (mode == Mode::kEval && capacity.eval_token_fraction > 0) {
    // Python's math.ceil(fraction * tokens).
    return static_cast<int64_t>(
        std::ceil(NearestShortDecimal(capacity.eval_token_fraction) *
                  static_cast<double>(num_tokens)));
  }
  const float factor =
      mode == Mode::kTrain
          ? capacity.capacity_factor
          : capacity.eval_capacity_factor.value_or(capacity.capacity_factor);
  return ExpertCapacity(num_tokens, spec.num_experts, factor, spec.gate.k,
                        capacity.min_capacity);
}

}  // namespace switchyard
