#include "services/shared_memory/attachment.h"

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "services/rpc/callback_threads.h"
#include "services/rpc/status_conversion.h"

namespace switchyard {
namespace {

// What gRPC needs of a stream until it has ended.
struct Call {
  // Holds a channel, as the context does: not as the last.
  Attachment::StartCall start_call;
  grpc::ClientContext context;
  v1::AttachMemoryRequest request;
};

v1::AttachMemoryRequest RequestFor(const RegionSource& source) {
  v1::AttachMemoryRequest request;
  request.set_pid(source.pid);
  request.set_fd(source.fd);
  request.set_size_bytes(source.size_bytes);
  request.set_token(std::string(source.token.data(), source.token.size()));
  return request;
}

}  // namespace

// Where the stream stands: shared by it and the attachment, whichever lives
// longer.
class Attachment::State {
 public:
  explicit State(std::shared_ptr<grpc::ClientContext> context)
      : context_(std::move(context)) {}

  void Attach(uint64_t region_id) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    region_id_ = region_id;
    was_attached_ = true;
    phase_ = Phase::kAttached;
    changed_.NotifyAll();
  }

  void End(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::shared_ptr<grpc::ClientContext> context;
    MutexLock lock(mutex_);
    context = std::move(context_);
    end_status_ = std::move(status);
    phase_ = Phase::kEnded;
    changed_.NotifyAll();
  }

  // Not under the lock: the stream may end within TryCancel.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::shared_ptr<grpc::ClientContext> context;
    {
      MutexLock lock(mutex_);
      context = context_;
    }
    if (context != nullptr) context->TryCancel();
  }

  bool AwaitChange(Phase from, absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    Clock& clock = Clock::Real();
    const absl::Time until = clock.Now() + timeout;
    MutexLock lock(mutex_);
    while (phase_ == from) {
      const absl::Duration left = until - clock.Now();
      if (left <= absl::ZeroDuration()) return false;
      changed_.WaitFor(mutex_, left);
    }
    return true;
  }

  Phase phase() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return phase_;
  }
  bool was_attached() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return was_attached_;
  }
  uint64_t region_id() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return region_id_;
  }
  absl::Status end_status() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return end_status_;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kAttaching;
  bool was_attached_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t region_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
  // Null once the stream has ended.
  std::shared_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
};

// Reads the one response, then waits for the end. Deletes itself.
class Attachment::Stream final : public Reader {
 public:
  Stream(std::shared_ptr<Call> call, std::shared_ptr<State> state,
         std::weak_ptr<OwnedRegion> region,
         std::shared_ptr<OutboundCalls> calls)
      : call_(std::move(call)),
        state_(std::move(state)),
        region_(std::move(region)),
        calls_(std::move(calls)) {}

  void Start() {
    call_->start_call(&call_->context, &call_->request, this);
    StartRead(&response_);
    grpc::ClientReadReactor<v1::AttachMemoryResponse>::StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    CloseSource();
    if (!ok) return;
    state_->Attach(response_.region_id());
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    CloseSource();
    const absl::Status ended = FromGrpcStatus(status);
    state_->End(ended.ok() ? absl::UnavailableError("ended by the peer")
                           : ended);
    // What holds the call must be gone before it is counted as such.
    std::shared_ptr<grpc::ClientContext> context(call_, &call_->context);
    const std::shared_ptr<OutboundCalls> calls = std::move(calls_);
    delete this;
    if (calls != nullptr) calls->Remove(std::move(context));
  }

  // The peer has opened the region, or never will.
  void CloseSource() {
    if (const auto region = region_.lock()) region->CloseSource();
  }

  const std::shared_ptr<Call> call_;
  const std::shared_ptr<State> state_;
  const std::weak_ptr<OwnedRegion> region_;
  std::shared_ptr<OutboundCalls> calls_;
  v1::AttachMemoryResponse response_;
};

absl::StatusOr<std::shared_ptr<Attachment>> Attachment::Start(
    int64_t region_bytes, const StartCall& start_call,
    std::shared_ptr<OutboundCalls> calls) {
  SWITCHYARD_ASSIGN_OR_RETURN(std::shared_ptr<OwnedRegion> region,
                              OwnedRegion::Create(region_bytes));
  const std::shared_ptr<Call> call(new Call, &DeleteOffCallbackThreads<Call>);
  call->start_call = start_call;
  call->request = RequestFor(region->source());
  const std::shared_ptr<grpc::ClientContext> context(call, &call->context);
  if (calls != nullptr && !calls->Add(context)) {
    return absl::UnavailableError("shutting down");
  }
  auto state = std::make_shared<State>(context);
  auto* const stream = new Stream(call, state, region, std::move(calls));
  stream->Start();
  return std::shared_ptr<Attachment>(
      new Attachment(std::move(region), std::move(state)));
}

Attachment::~Attachment() { state_->Cancel(); }

Attachment::Phase Attachment::phase() const { return state_->phase(); }
uint64_t Attachment::region_id() const { return state_->region_id(); }
absl::Status Attachment::end_status() const { return state_->end_status(); }
bool Attachment::was_attached() const { return state_->was_attached(); }
bool Attachment::AwaitChange(Phase from, absl::Duration timeout) const {
  return state_->AwaitChange(from, timeout);
}
void Attachment::Cancel() { state_->Cancel(); }

}  // namespace switchyard
