#include "services/rpc/unary_handler.h"

#include <algorithm>
#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "services/rpc/exception_boundary.h"
#include "services/rpc/status_conversion.h"

namespace switchyard {

// One call, from its arrival until gRPC is done with it; then it deletes
// itself.
class UnaryHandler::Call final : public grpc::ServerUnaryReactor {
 public:
  Call(UnaryHandler& handler, grpc::CallbackServerContext& context,
       absl::string_view method, int64_t request_bytes, Work work)
      : handler_(handler),
        context_(context),
        method_(method),
        request_bytes_(request_bytes),
        deadline_(
            std::min(absl::FromChrono(context.deadline()),
                     handler.clock_.Now() + handler.limits_.max_call_duration)),
        work_(std::move(work)) {
    handler_.metrics_.ForMethod(method_).Begin();
  }

  void Run() { Answer(RunWork()); }

  void Answer(absl::Status status) {
    handler_.metrics_.ForMethod(method_).Record(status, stopwatch_.ElapsedUs());
    if (absl::IsInternal(status)) LogError(method_, ": ", status.message());
    Finish(ToGrpcStatus(status));
  }

 private:
  absl::Status RunWork() {
    if (context_.IsCancelled()) {
      return absl::CancelledError("cancelled by the client before it ran");
    }
    if (handler_.clock_.Now() >= deadline_) {
      return absl::DeadlineExceededError(
          absl::StrCat("deadline passed in the queue of ", handler_.name_));
    }
    const CallContext call(deadline_, cancellation_.get_token());
    return RunCatching([&] { return work_(call); });
  }

  void OnCancel() override { cancellation_.request_stop(); }

  void OnDone() override {
    UnaryHandler& handler = handler_;
    const int64_t request_bytes = request_bytes_;
    delete this;
    handler.OnCallDone(request_bytes);
  }

  UnaryHandler& handler_;
  grpc::CallbackServerContext& context_;
  const absl::string_view method_;
  const int64_t request_bytes_;
  const absl::Time deadline_;
  const Stopwatch stopwatch_;
  std::stop_source cancellation_;
  Work work_;
};

UnaryHandler::UnaryHandler(absl::string_view name, const ServerLimits& limits,
                           Clock& clock, RequestMetrics& metrics)
    : name_(name),
      limits_(limits),
      clock_(clock),
      metrics_(metrics),
      pool_({.name = name_,
             .num_threads = limits.num_request_threads,
             .max_queued_tasks = limits.max_queued_requests}) {}

grpc::ServerUnaryReactor* UnaryHandler::Handle(
    grpc::CallbackServerContext* context, int64_t request_bytes,
    absl::string_view method, Work work) {
  // Counted before anything else, so that OnDone always finds its count.
  absl::Status admitted = Admit(request_bytes);
  Call* const call =
      new Call(*this, *context, method, request_bytes, std::move(work));
  if (admitted.ok()) admitted = pool_.Schedule([call] { call->Run(); });
  if (!admitted.ok()) call->Answer(std::move(admitted));
  return call;
}

absl::Status UnaryHandler::Admit(int64_t request_bytes) {
  MutexLock lock(mutex_);
  const int64_t others_bytes = pending_bytes_;
  ++num_calls_;
  pending_bytes_ += request_bytes;
  if (!admitting_) {
    return absl::UnavailableError(absl::StrCat(name_, ": shutting down"));
  }
  if (others_bytes > 0 && pending_bytes_ > limits_.max_pending_request_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "queue of ", name_, " is full (", others_bytes,
        " bytes pending, at most ", limits_.max_pending_request_bytes, ")"));
  }
  return absl::OkStatus();
}

void UnaryHandler::OnCallDone(int64_t request_bytes) {
  MutexLock lock(mutex_);
  pending_bytes_ -= request_bytes;
  if (--num_calls_ == 0) idle_.NotifyAll();
}

void UnaryHandler::StopAdmitting() {
  MutexLock lock(mutex_);
  admitting_ = false;
}

bool UnaryHandler::WaitUntilIdle(absl::Duration timeout) {
  const absl::Time until = clock_.Now() + timeout;
  MutexLock lock(mutex_);
  while (num_calls_ > 0) {
    const absl::Duration left = until - clock_.Now();
    if (left <= absl::ZeroDuration()) return false;
    idle_.WaitFor(mutex_, left);
  }
  return true;
}

}  // namespace switchyard
