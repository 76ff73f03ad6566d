#ifndef SWITCHYARD_SERVICES_RPC_UNARY_HANDLER_H_
#define SWITCHYARD_SERVICES_RPC_UNARY_HANDLER_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "services/rpc/request_metrics.h"
#include "services/rpc/request_queue.h"
#include "services/server_limits.h"

namespace switchyard {

// Takes unary calls off gRPC's threads, which must not block, and runs them on
// the threads of a queue. What a call may cost is bounded here: calls waiting,
// bytes of requests pending, time. Thread-safe.
class UnaryHandler {
 public:
  // Decodes, runs and encodes one call; must return soon after the call is
  // over. Memory that runs out in it is answered with RESOURCE_EXHAUSTED.
  using Work = absl::AnyInvocable<absl::Status(const CallContext& call)>;

  // `name` appears in errors; of `limits` all but the message size apply.
  // `clock` and `metrics` must outlive the handler.
  UnaryHandler(absl::string_view name, const ServerLimits& limits, Clock& clock,
               RequestMetrics& metrics);
  // The server must have been shut down: no call may be pending.
  ~UnaryHandler() = default;
  UnaryHandler(const UnaryHandler&) = delete;
  UnaryHandler& operator=(const UnaryHandler&) = delete;

  // To be returned from a method of a callback service, whose request has
  // `request_bytes` bytes. Refuses with RESOURCE_EXHAUSTED over a limit and
  // with UNAVAILABLE after StopAdmitting; drops `work` if the client leaves or
  // the deadline passes before its turn. `method` names the call in the metrics
  // and must outlive the handler.
  grpc::ServerUnaryReactor* Handle(grpc::CallbackServerContext* context,
                                   int64_t request_bytes,
                                   absl::string_view method, Work work);
  grpc::ServerUnaryReactor* Handle(grpc::CallbackServerContext* context,
                                   const google::protobuf::MessageLite& request,
                                   absl::string_view method, Work work) {
    return Handle(context, static_cast<int64_t>(request.ByteSizeLong()), method,
                  std::move(work));
  }

  void StopAdmitting() { queue_.StopAdmitting(); }
  // Waits until the answers of all calls are sent; false if `timeout` passes
  // first.
  bool WaitUntilIdle(absl::Duration timeout) {
    return queue_.WaitUntilIdle(timeout);
  }

  // For calls that are not unary and share limits and threads with these.
  RequestQueue& queue() { return queue_; }
  RequestMetrics& metrics() { return metrics_; }
  // The deadline of a call that comes now and may take until `latest`.
  absl::Time DeadlineOf(absl::Time latest) const {
    return std::min(latest, clock_.Now() + limits_.max_call_duration);
  }

 private:
  class Call;

  const ServerLimits limits_;
  Clock& clock_;
  RequestMetrics& metrics_;
  RequestQueue queue_;
};

// Who makes a call, for fairness: a connection, and within it (all that come
// over unix sockets look alike) the name that our client library gives itself.
std::string ClientOf(const grpc::CallbackServerContext& context);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_UNARY_HANDLER_H_
