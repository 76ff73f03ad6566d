// What two processes must agree on about a region of shared memory.
#ifndef SWITCHYARD_COMMON_SHARED_MEMORY_REGION_FORMAT_H_
#define SWITCHYARD_COMMON_SHARED_MEMORY_REGION_FORMAT_H_

#include <array>
#include <cstdint>

namespace switchyard {

// Drawn by the owner and put into the first bytes of its region: who names the
// token to a peer has read the region.
using RegionToken = std::array<char, 16>;

// Tensors lie beyond this offset, and at multiples of the alignment (a cache
// line, as kTensorAlignmentBytes). Unit: bytes.
inline constexpr int64_t kRegionHeaderBytes = 4096;
inline constexpr int64_t kRegionAlignmentBytes = 64;

// Where a region can be opened: by a process of the same user, on the same host
// and in the same PID namespace.
struct RegionSource {
  int64_t pid = 0;
  // File descriptor in that process.
  int32_t fd = -1;
  int64_t size_bytes = 0;
  RegionToken token = {};
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SHARED_MEMORY_REGION_FORMAT_H_
