#ifndef SWITCHYARD_SERVICES_SHARED_MEMORY_MEMORY_LINK_H_
#define SWITCHYARD_SERVICES_SHARED_MEMORY_MEMORY_LINK_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>
#include <prometheus/counter.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/tensor/tensor.h"
#include "services/rpc/outbound_calls.h"
#include "services/shared_memory/shared_call.h"
#include "switchyard/v1/memory.pb.h"

namespace switchyard {

// Smaller tensors travel in their messages: gRPC copies them as fast.
inline constexpr int64_t kMinSharedTensorBytes = 16 << 10;

struct MemoryLinkOptions {
  // Named in the log: "worker w-1 at unix:/run/w-1".
  std::string peer;
  // Of the region, its header included.
  int64_t region_bytes = 0;
  // Calls whose tensors stayed in shared memory, and those for which there was
  // no room. Null: not counted there. Must outlive the link.
  prometheus::Counter* shared_calls = nullptr;
  prometheus::Counter* inline_calls = nullptr;
};

// A caller's side of shared memory with one peer: a region of this process and
// the stream that keeps it attached there. Attaches at the first use; until the
// peer has answered, and where it refuses or has gone, calls go inline. A peer
// that cannot open the region is not asked again (logged as a warning); one
// that was full, or that has ended the stream, is at the next use, at most once
// a second.
//
// The parts of a call that ended without an answer are never used again, as the
// peer may still be at them; once such parts leave no room, the region is
// replaced. The old one stays attached until its calls have ended, and its
// memory until its tensors have. Thread-safe.
class MemoryLink {
 public:
  using Reader = grpc::ClientReadReactor<v1::AttachMemoryResponse>;
  // Makes the AttachMemory call; holds what the call needs, its channel too,
  // and must not let go of the last of it: DeleteOffCallbackThreads.
  using StartCall = std::function<void(
      grpc::ClientContext*, const v1::AttachMemoryRequest*, Reader*)>;

  // `calls`, if any, knows the stream.
  MemoryLink(MemoryLinkOptions options, StartCall start_call,
             std::shared_ptr<OutboundCalls> calls, Clock& clock);
  // Ends the stream, without waiting for it.
  ~MemoryLink();
  MemoryLink(const MemoryLink&) = delete;
  MemoryLink& operator=(const MemoryLink&) = delete;

  // In the region where there is one with room, in memory of its own otherwise.
  Tensor Allocate(const Shape& shape) ABSL_LOCKS_EXCLUDED(mutex_);

  // A call that sends `tensor`, without a copy if it lies in the region, and
  // offers a place of `answer_bytes` (0: none). nullopt: it goes inline.
  std::optional<SharedCall> Begin(const Tensor& tensor, int64_t answer_bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Attaches unless that was done, and waits for the peer's answer: OK, or why
  // there is no shared memory.
  absl::Status AwaitAttached(absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the stream and waits until gRPC is done with it; false if `timeout`
  // passes first. No further calls may begin.
  bool Close(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t num_shared_calls() const { return num_shared_calls_; }
  int64_t num_inline_calls() const { return num_inline_calls_; }

 private:
  // What is attached now; null: nothing. Attaches where that makes sense.
  std::shared_ptr<Attachment> Current() ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<Attachment> CurrentLocked()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnEndedLocked(const absl::Status& status, bool was_attached)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ErrorLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Memory of the region; null: there is no room.
  std::shared_ptr<float[]> Take(const std::shared_ptr<Attachment>& attachment,
                                int64_t num_bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<SharedCall> TryBegin(const Tensor& tensor, int64_t answer_bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const MemoryLinkOptions options_;
  const StartCall start_call_;
  const std::shared_ptr<OutboundCalls> calls_;
  Clock& clock_;
  std::atomic<int64_t> num_shared_calls_ = 0;
  std::atomic<int64_t> num_inline_calls_ = 0;

  Mutex mutex_;
  std::shared_ptr<Attachment> attachment_ ABSL_GUARDED_BY(mutex_);
  absl::Time started_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // Why there is none, for good if `refused_`.
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_SHARED_MEMORY_MEMORY_LINK_H_
