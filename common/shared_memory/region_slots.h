#ifndef SWITCHYARD_COMMON_SHARED_MEMORY_REGION_SLOTS_H_
#define SWITCHYARD_COMMON_SHARED_MEMORY_REGION_SLOTS_H_

#include <cstdint>
#include <optional>

#include "absl/container/btree_map.h"

namespace switchyard {

// Which parts of a region are in use: first fit, so that pages that were
// touched are used again before fresh ones. Offsets and sizes in bytes.
// Thread-compatible.
class RegionSlots {
 public:
  // Gives out [begin, end), both multiples of `alignment`, in multiples of it.
  RegionSlots(int64_t begin, int64_t end, int64_t alignment);

  // The offset of a free part; nullopt: none is as large, or `num_bytes` is not
  // positive.
  std::optional<int64_t> Take(int64_t num_bytes);
  // `offset` must have come from Take. What was abandoned stays taken.
  void GiveBack(int64_t offset);

  // Whether [offset, offset + num_bytes) lies within one part that is taken.
  bool Contains(int64_t offset, int64_t num_bytes) const;

  // The taken part that has `offset`, if any, is never given out again.
  void Abandon(int64_t offset);
  int64_t abandoned_bytes() const { return abandoned_bytes_; }
  int64_t free_bytes() const;

 private:
  struct Part {
    int64_t num_bytes = 0;
    bool abandoned = false;
  };

  // The taken part that has `offset`, or the end.
  absl::btree_map<int64_t, Part>::const_iterator Find(int64_t offset) const;

  const int64_t alignment_;
  // By offset; neighbours among the free are joined.
  absl::btree_map<int64_t, int64_t> free_;
  absl::btree_map<int64_t, Part> taken_;
  int64_t abandoned_bytes_ = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SHARED_MEMORY_REGION_SLOTS_H_
