#ifndef SWITCHYARD_COMMON_SHARED_MEMORY_PEER_REGION_H_
#define SWITCHYARD_COMMON_SHARED_MEMORY_PEER_REGION_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/shared_memory/region_format.h"

namespace switchyard {

// Maps an OwnedRegion of another process. Its contents may change at any time;
// its size cannot. The memory stays until the last owner lets go, whatever
// becomes of the peer. Thread-safe.
//
// INVALID_ARGUMENT, naming the field: what is there is not such a region, or
// has another size or token. FAILED_PRECONDITION: nothing can be opened there,
// as the peer is another user's, or lives on another host or in another PID
// namespace.
absl::StatusOr<std::shared_ptr<char[]>> OpenPeerRegion(
    const RegionSource& source);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SHARED_MEMORY_PEER_REGION_H_
