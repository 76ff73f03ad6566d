#include "gateway/routing/group_limit.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace switchyard {
namespace {

size_t NumSummed(const GroupLimitSpec& spec, int32_t k) {
  switch (spec.score) {
    case GroupScore::kMax:
      return 1;
    case GroupScore::kTop2Sum:
      return 2;
    case GroupScore::kTopSum:
      return static_cast<size_t>(std::max(1, k / spec.num_selected_groups));
  }
  return 1;
}

}  // namespace

GroupLimit::GroupLimit(const GroupLimitSpec& spec, int32_t num_experts,
                       int32_t k)
    : spec_(spec),
      group_size_(static_cast<size_t>(num_experts / spec.num_groups)),
      num_summed_(std::min(NumSummed(spec, k), group_size_)),
      sorted_(group_size_),
      group_keys_(static_cast<size_t>(spec.num_groups)),
      ranking_(static_cast<size_t>(spec.num_groups)) {}

float GroupLimit::GroupKey(absl::Span<const float> keys) {
  std::copy(keys.begin(), keys.end(), sorted_.begin());
  const auto end = sorted_.begin() + static_cast<ptrdiff_t>(num_summed_);
  std::partial_sort(sorted_.begin(), end, sorted_.end(), std::greater<>());
  return std::accumulate(sorted_.begin(), end, 0.0f);
}

void GroupLimit::Mask(absl::Span<float> keys) {
  for (size_t g = 0; g < group_keys_.size(); ++g) {
    group_keys_[g] = GroupKey(keys.subspan(g * group_size_, group_size_));
  }
  std::iota(ranking_.begin(), ranking_.end(), size_t{0});
  const auto selected_end =
      ranking_.begin() + static_cast<ptrdiff_t>(spec_.num_selected_groups);
  std::partial_sort(ranking_.begin(), selected_end, ranking_.end(),
                    [this](size_t a, size_t b) {
                      return group_keys_[a] > group_keys_[b] ||
                             (group_keys_[a] == group_keys_[b] && a < b);
                    });
  const float mask =
      spec_.mask_with_zero ? 0.0f : -std::numeric_limits<float>::infinity();
  for (auto group = selected_end; group != ranking_.end(); ++group) {
    const absl::Span<float> masked =
        keys.subspan(*group * group_size_, group_size_);
    std::fill(masked.begin(), masked.end(), mask);
  }
}

}  // namespace switchyard
