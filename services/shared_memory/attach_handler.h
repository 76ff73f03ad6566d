#ifndef SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACH_HANDLER_H_
#define SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACH_HANDLER_H_

#include <grpcpp/support/server_callback.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "common/base/mutex.h"
#include "services/shared_memory/attached_regions.h"
#include "switchyard/v1/memory.pb.h"

namespace switchyard {

// The AttachMemory call of gateway and worker: a region is attached for as long
// as its stream is open. Thread-safe.
class AttachHandler {
 public:
  // `regions` must outlive the server.
  explicit AttachHandler(AttachedRegions& regions) : regions_(regions) {}

  // To be returned from the method of a callback service.
  grpc::ServerWriteReactor<v1::AttachMemoryResponse>* Handle(
      const v1::AttachMemoryRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends all streams, and refuses further ones, with UNAVAILABLE: for a server
  // that shuts down. Idempotent.
  void EndAll() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Stream;

  // False after EndAll.
  bool Add(std::shared_ptr<Stream> stream) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::shared_ptr<Stream>& stream)
      ABSL_LOCKS_EXCLUDED(mutex_);

  AttachedRegions& regions_;
  Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACH_HANDLER_H_
