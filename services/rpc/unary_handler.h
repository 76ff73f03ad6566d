#ifndef SWITCHYARD_SERVICES_RPC_UNARY_HANDLER_H_
#define SWITCHYARD_SERVICES_RPC_UNARY_HANDLER_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/concurrency/thread_pool.h"
#include "services/rpc/request_metrics.h"
#include "services/server_limits.h"

namespace switchyard {

// Takes unary calls off gRPC's threads, which must not block, and runs them on
// a pool of its own. What a call may cost is bounded here: calls waiting, bytes
// of requests pending, time. Thread-safe.
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
  // `request_bytes` bytes. Refuses with
  // RESOURCE_EXHAUSTED over a limit and with UNAVAILABLE after StopAdmitting;
  // skips `work` if by its turn the client has left or the deadline has passed.
  // `method` names the call in the metrics and must outlive the handler.
  grpc::ServerUnaryReactor* Handle(grpc::CallbackServerContext* context,
                                   int64_t request_bytes,
                                   absl::string_view method, Work work)
      ABSL_LOCKS_EXCLUDED(mutex_);
  grpc::ServerUnaryReactor* Handle(grpc::CallbackServerContext* context,
                                   const google::protobuf::MessageLite& request,
                                   absl::string_view method, Work work)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    return Handle(context, static_cast<int64_t>(request.ByteSizeLong()), method,
                  std::move(work));
  }

  void StopAdmitting() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until the answers of all calls are sent; false if `timeout` passes
  // first.
  bool WaitUntilIdle(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Call;

  absl::Status Admit(int64_t request_bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCallDone(int64_t request_bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string name_;
  const ServerLimits limits_;
  Clock& clock_;
  RequestMetrics& metrics_;

  Mutex mutex_;
  CondVar idle_;
  bool admitting_ ABSL_GUARDED_BY(mutex_) = true;
  // Calls whose reactor is alive, refused ones too.
  int64_t num_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pending_bytes_ ABSL_GUARDED_BY(mutex_) = 0;

  ThreadPool pool_;  // Last: its threads use all of the above.
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_UNARY_HANDLER_H_
