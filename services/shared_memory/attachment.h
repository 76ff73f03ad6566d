#ifndef SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACHMENT_H_
#define SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACHMENT_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/shared_memory/owned_region.h"
#include "services/rpc/outbound_calls.h"
#include "switchyard/v1/memory.pb.h"

namespace switchyard {

// A region of ours and the stream that keeps it attached to a peer. The stream
// ends with the attachment. Thread-safe.
class Attachment {
 public:
  using Reader = grpc::ClientReadReactor<v1::AttachMemoryResponse>;
  using StartCall = std::function<void(
      grpc::ClientContext*, const v1::AttachMemoryRequest*, Reader*)>;

  // Makes the region and starts the call. RESOURCE_EXHAUSTED: no region is to
  // be had; UNAVAILABLE: `calls` takes no more.
  static absl::StatusOr<std::shared_ptr<Attachment>> Start(
      int64_t region_bytes, const StartCall& start_call,
      std::shared_ptr<OutboundCalls> calls);
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  enum class Phase { kAttaching, kAttached, kEnded };
  Phase phase() const;
  // kAttached: as the peer named the region.
  uint64_t region_id() const;
  // kEnded: how.
  absl::Status end_status() const;
  // Whether it was ever kAttached.
  bool was_attached() const;

  OwnedRegion& region() { return *region_; }

  // Waits until the phase is another one; false if `timeout` passes first.
  bool AwaitChange(Phase from, absl::Duration timeout) const;
  // Ends the stream, without waiting.
  void Cancel();

 private:
  class Stream;
  class State;

  Attachment(std::shared_ptr<OwnedRegion> region, std::shared_ptr<State> state)
      : region_(std::move(region)), state_(std::move(state)) {}

  const std::shared_ptr<OwnedRegion> region_;
  const std::shared_ptr<State> state_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_SHARED_MEMORY_ATTACHMENT_H_
