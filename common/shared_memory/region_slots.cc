#include "common/shared_memory/region_slots.h"

#include <iterator>

namespace switchyard {

RegionSlots::RegionSlots(int64_t begin, int64_t end, int64_t alignment)
    : alignment_(alignment) {
  if (end > begin) free_[begin] = end - begin;
}

std::optional<int64_t> RegionSlots::Take(int64_t num_bytes) {
  if (num_bytes <= 0) return std::nullopt;
  for (auto part = free_.begin(); part != free_.end(); ++part) {
    // Sizes are multiples of the alignment: what fits, fits rounded up.
    if (part->second < num_bytes) continue;
    const int64_t rounded =
        (num_bytes + alignment_ - 1) / alignment_ * alignment_;
    const int64_t offset = part->first;
    const int64_t rest = part->second - rounded;
    free_.erase(part);
    if (rest > 0) free_[offset + rounded] = rest;
    taken_[offset] = {.num_bytes = rounded};
    return offset;
  }
  return std::nullopt;
}

void RegionSlots::GiveBack(int64_t offset) {
  const auto taken = taken_.find(offset);
  if (taken == taken_.end() || taken->second.abandoned) return;
  auto part = free_.emplace(offset, taken->second.num_bytes).first;
  taken_.erase(taken);
  const auto next = std::next(part);
  if (next != free_.end() && part->first + part->second == next->first) {
    part->second += next->second;
    free_.erase(next);
    part = free_.find(offset);
  }
  if (part == free_.begin()) return;
  const auto previous = std::prev(part);
  if (previous->first + previous->second == part->first) {
    previous->second += part->second;
    free_.erase(part);
  }
}

bool RegionSlots::Contains(int64_t offset, int64_t num_bytes) const {
  const auto part = Find(offset);
  return part != taken_.end() && num_bytes >= 0 &&
         num_bytes <= part->first + part->second.num_bytes - offset;
}

void RegionSlots::Abandon(int64_t offset) {
  const auto found = Find(offset);
  if (found == taken_.end() || found->second.abandoned) return;
  taken_[found->first].abandoned = true;
  abandoned_bytes_ += found->second.num_bytes;
}

int64_t RegionSlots::free_bytes() const {
  int64_t bytes = 0;
  for (const auto& [offset, num_bytes] : free_) bytes += num_bytes;
  return bytes;
}

absl::btree_map<int64_t, RegionSlots::Part>::const_iterator RegionSlots::Find(
    int64_t offset) const {
  auto part = taken_.upper_bound(offset);
  if (part == taken_.begin()) return taken_.end();
  --part;
  return offset < part->first + part->second.num_bytes ? part : taken_.end();
}

}  // namespace switchyard
