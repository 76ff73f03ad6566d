#ifndef SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACHED_REGIONS_H_
#define SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACHED_REGIONS_H_

#include <prometheus/registry.h>

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/shared_memory/region_format.h"
#include "services/server_limits.h"
#include "services/wire/shared_tensor.h"

namespace switchyard {

// The regions that a server's callers have attached. A region stays mapped, and
// counts, until it was detached and the calls that use it have ended.
// Thread-safe.
class AttachedRegions final : public wire::SharedMemoryView {
 public:
  // Shows switchyard_shared_memory_regions and switchyard_shared_memory_bytes.
  AttachedRegions(const ServerLimits& limits,
                  std::shared_ptr<prometheus::Registry> metrics);
  ~AttachedRegions() override;

  // Returns its id, which nobody guesses. As OpenPeerRegion; RESOURCE_EXHAUSTED
  // naming the limit.
  absl::StatusOr<uint64_t> Attach(const RegionSource& source)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // No further call may name it.
  void Detach(uint64_t region_id) ABSL_LOCKS_EXCLUDED(mutex_);

  absl::StatusOr<std::shared_ptr<float[]>> Find(
      const v1::SharedMemory& place, int64_t num_bytes,
      absl::string_view field) const override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Usage;
  class Mapped;
  struct Region {
    std::shared_ptr<char[]> memory;
    int64_t size_bytes = 0;
  };

  absl::StatusOr<uint64_t> Add(Region region) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::shared_ptr<Usage> usage_;
  mutable Mutex mutex_;
  absl::flat_hash_map<uint64_t, Region> regions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACHED_REGIONS_H_
