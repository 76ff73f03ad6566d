#include "services/rpc/drain.h"

#include <algorithm>

namespace switchyard {
namespace {

// For what the handlers do not know of: health watches and reflection streams,
// which may stay open for ever.
constexpr absl::Duration kStreamGrace = absl::Milliseconds(250);
// From the cancelling of a call to its end: no network is involved.
constexpr absl::Duration kCancelGrace = absl::Seconds(5);

}  // namespace

void Drain(RpcServer& server, absl::Span<UnaryHandler* const> handlers,
           OutboundCalls& calls, absl::Duration grace, Clock& clock,
           const std::function<void()>& end_streams) {
  const absl::Time until = clock.Now() + grace;
  server.StopServing();
  for (UnaryHandler* handler : handlers) handler->StopAdmitting();
  for (UnaryHandler* handler : handlers) {
    handler->WaitUntilIdle(until - clock.Now());
  }
  if (end_streams != nullptr) end_streams();
  calls.CancelAll();
  server.Shutdown(
      std::clamp(until - clock.Now(), absl::ZeroDuration(), kStreamGrace));
  calls.WaitUntilEmpty(kCancelGrace);
}

}  // namespace switchyard
