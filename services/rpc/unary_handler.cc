#include "services/rpc/unary_handler.h"

#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "services/rpc/answered.h"
#include "services/rpc/channel.h"
#include "services/rpc/exception_boundary.h"
#include "services/rpc/status_conversion.h"

namespace switchyard {

// One call, from its arrival until gRPC is done with it; then it deletes
// itself.
class UnaryHandler::Call final : public grpc::ServerUnaryReactor,
                                 public RequestQueue::Request {
 public:
  Call(UnaryHandler& handler, grpc::CallbackServerContext& context,
       absl::string_view method, int64_t request_bytes, Work work)
      : Request(ClientOf(context), request_bytes),
        handler_(handler),
        context_(context),
        method_(method),
        deadline_(handler.DeadlineOf(absl::FromChrono(context.deadline()))),
        work_(std::move(work)) {
    handler_.metrics_.ForMethod(method_).Begin();
    handler_.queue_.BeginCall();
  }

  void Run() override { Answer(RunWork()); }
  void TurnAway(absl::Status status) override { Answer(std::move(status)); }

  void Answer(absl::Status status) {
    handler_.metrics_.ForMethod(method_).Record(status, stopwatch_.ElapsedUs());
    MarkAnswered(status, context_);
    if (absl::IsInternal(status)) LogError(method_, ": ", status.message());
    Finish(ToGrpcStatus(status));
  }

 private:
  absl::Status RunWork() {
    if (handler_.clock_.Now() >= deadline_) {
      return absl::DeadlineExceededError(absl::StrCat(
          "deadline passed in the queue of ", handler_.queue_.name()));
    }
    const CallContext call(deadline_, cancellation_.get_token());
    if (call.IsCancelled()) return CancelledInQueue();
    return RunCatching([&] { return work_(call); });
  }

  static absl::Status CancelledInQueue() {
    return absl::CancelledError("cancelled by the client before it ran");
  }

  // Of gRPC, at most once, when the client has left or its deadline has passed.
  void OnCancel() override {
    cancellation_.request_stop();
    if (handler_.queue_.Withdraw(*this)) Answer(CancelledInQueue());
  }

  void OnDone() override {
    RequestQueue& queue = handler_.queue_;
    queue.Release(*this);
    delete this;
    queue.EndCall();
  }

  UnaryHandler& handler_;
  grpc::CallbackServerContext& context_;
  const absl::string_view method_;
  const absl::Time deadline_;
  const Stopwatch stopwatch_;
  std::stop_source cancellation_;
  Work work_;
};

UnaryHandler::UnaryHandler(absl::string_view name, const ServerLimits& limits,
                           Clock& clock, RequestMetrics& metrics)
    : limits_(limits),
      clock_(clock),
      metrics_(metrics),
      queue_(name, limits, clock) {}

grpc::ServerUnaryReactor* UnaryHandler::Handle(
    grpc::CallbackServerContext* context, int64_t request_bytes,
    absl::string_view method, Work work) {
  Call* const call =
      new Call(*this, *context, method, request_bytes, std::move(work));
  absl::Status submitted = queue_.Submit(*call);
  if (!submitted.ok()) call->Answer(std::move(submitted));
  return call;
}

std::string ClientOf(const grpc::CallbackServerContext& context) {
  std::string client(context.peer());
  const auto& metadata = context.client_metadata();
  const auto name = metadata.find(kClientNameMetadata);
  if (name != metadata.end()) {
    client.push_back(' ');
    client.append(name->second.data(), name->second.size());
  }
  return client;
}

}  // namespace switchyard
