#ifndef SWITCHYARD_SERVICES_SERVER_LIMITS_H_
#define SWITCHYARD_SERVICES_SERVER_LIMITS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace switchyard {

// Bounds that gateway and worker put on what comes in.
struct ServerLimits {
  // Largest message, in either direction; RESOURCE_EXHAUSTED above it.
  int64_t max_message_bytes = int64_t{64} << 20;
  // Calls that run at the same time, and that wait for a thread;
  // RESOURCE_EXHAUSTED beyond both. At least one may wait.
  int num_request_threads = 8;
  int64_t max_queued_requests = 256;
  // Bytes of the requests that run or wait, together; RESOURCE_EXHAUSTED for
  // one that would go over, unless it is alone. Both of these are shared
  // between clients: services/rpc/fair_queue.h.
  int64_t max_pending_request_bytes = int64_t{1} << 30;
  // Requests of one stream that are in progress or whose answers are not yet
  // written, and from how many of their bytes on; the server reads no further.
  int64_t max_stream_requests = 64;
  int64_t max_stream_request_bytes = int64_t{256} << 20;
  // Regions of memory that callers on this host attach (AttachMemory), and
  // their bytes, together; RESOURCE_EXHAUSTED beyond. Bytes count as memory of
  // the callers, and only once they are touched.
  int64_t max_shared_regions = 64;
  int64_t max_shared_memory_bytes = int64_t{16} << 30;
  // Deadline of a call whose client set none, and the most that a client gets.
  absl::Duration max_call_duration = absl::Minutes(5);
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_SERVER_LIMITS_H_
