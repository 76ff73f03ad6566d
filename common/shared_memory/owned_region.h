#ifndef SWITCHYARD_COMMON_SHARED_MEMORY_OWNED_REGION_H_
#define SWITCHYARD_COMMON_SHARED_MEMORY_OWNED_REGION_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/shared_memory/region_format.h"
#include "common/shared_memory/region_slots.h"

namespace switchyard {

// Memory of this process that a peer may map too. It has no name and a size
// that nobody can change (a sealed memfd): it ends with the last process that
// has it mapped, and touching it never raises SIGBUS. Pages take memory once
// they were touched. Thread-safe.
class OwnedRegion : public std::enable_shared_from_this<OwnedRegion> {
 public:
  // `size_bytes` is rounded up to whole pages, the header included.
  // RESOURCE_EXHAUSTED: the system gives no such region.
  static absl::StatusOr<std::shared_ptr<OwnedRegion>> Create(
      int64_t size_bytes);
  ~OwnedRegion();
  OwnedRegion(const OwnedRegion&) = delete;
  OwnedRegion& operator=(const OwnedRegion&) = delete;

  // For a peer to open it; its file descriptor is open until CloseSource.
  RegionSource source() const ABSL_LOCKS_EXCLUDED(mutex_);
  // To be called once the peer has opened it, or will not. Idempotent.
  void CloseSource() ABSL_LOCKS_EXCLUDED(mutex_);

  // A free part of it, aligned, which goes back when its last owner lets go
  // (and keeps the region until then); null: none is left of that size.
  std::shared_ptr<float[]> Allocate(int64_t num_bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Where `num_bytes` from `data` lie in an allocated part; nullopt: elsewhere.
  std::optional<int64_t> OffsetOf(const void* data, int64_t num_bytes) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The part at `data` is not given out again, even when its owners let go: a
  // peer may still read or write it.
  void Abandon(const void* data) ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t abandoned_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  OwnedRegion(std::shared_ptr<char[]> memory, const RegionSource& source);

  const std::shared_ptr<char[]> memory_;
  mutable Mutex mutex_;
  RegionSource source_ ABSL_GUARDED_BY(mutex_);
  RegionSlots slots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SHARED_MEMORY_OWNED_REGION_H_
