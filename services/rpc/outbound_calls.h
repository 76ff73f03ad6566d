#ifndef SWITCHYARD_SERVICES_RPC_OUTBOUND_CALLS_H_
#define SWITCHYARD_SERVICES_RPC_OUTBOUND_CALLS_H_

#include <grpcpp/client_context.h>

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace switchyard {

// The calls that a server is making to others, so that its shutdown can end
// them instead of waiting for their deadlines. Thread-safe.
class OutboundCalls {
 public:
  // False after CancelAll: the call must not be made.
  bool Add(std::shared_ptr<grpc::ClientContext> call)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // To be called when the call has ended and nothing more comes of it. Drops
  // `call`, which should be the last to hold it.
  void Remove(std::shared_ptr<grpc::ClientContext> call)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Cancels those in progress and refuses further ones. Idempotent.
  void CancelAll() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until all have been removed and dropped; false if `timeout` passes
  // first.
  bool WaitUntilEmpty(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Mutex mutex_;
  CondVar empty_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // From Add to the end of Remove.
  int64_t num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<std::shared_ptr<grpc::ClientContext>> calls_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_OUTBOUND_CALLS_H_
