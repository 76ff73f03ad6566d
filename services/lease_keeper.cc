#include "services/lease_keeper.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/concurrency/thread_pool.h"
#include "services/rpc/channel.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/status_conversion.h"
#include "switchyard/v1/registry.grpc.pb.h"

namespace switchyard {
namespace {

constexpr absl::Duration kRegisterTimeout = absl::Seconds(5);
constexpr absl::Duration kDeregisterTimeout = absl::Seconds(1);
constexpr absl::Duration kMinBackoff = absl::Milliseconds(50);
constexpr absl::Duration kMaxBackoff = absl::Seconds(2);
// Whatever a gateway says, the thread neither spins nor falls asleep.
constexpr absl::Duration kMinLease = absl::Milliseconds(30);
constexpr absl::Duration kMaxLease = absl::Hours(1);
// The registry's messages are a few strings.
constexpr int64_t kMaxMessageBytes = 1 << 20;

uint64_t DrawIncarnation() {
  std::random_device device;
  const uint64_t high = device();
  return (high << 32 | device()) | 1;  // Not 0.
}

absl::Duration LeaseOf(int64_t lease_duration_ms) {
  return std::clamp(absl::Milliseconds(lease_duration_ms), kMinLease,
                    kMaxLease);
}

template <typename Request, typename Response>
using Method = grpc::Status (v1::Registry::StubInterface::*)(
    grpc::ClientContext*, const Request&, Response*);

}  // namespace

class LeaseKeeper::Impl {
 public:
  Impl(LeaseKeeperOptions options, Clock& clock,
       std::function<void()> unload_all)
      : options_(std::move(options)),
        clock_(clock),
        unload_all_(std::move(unload_all)),
        stub_(v1::Registry::NewStub(
            MakeChannel(options_.gateway_address, kMaxMessageBytes))),
        thread_(std::make_unique<ThreadPool>(
            ThreadPool::Options{.name = "lease keeper"})) {
    thread_->Schedule([this] { Run(); }).IgnoreError();  // The queue is empty.
  }

  ~Impl() { Stop(); }

  bool registered() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return clock_.Now() < lease_end_;
  }

  void Stop() ABSL_LOCKS_EXCLUDED(mutex_, stop_mutex_) {
    MutexLock stop_lock(stop_mutex_);
    if (thread_ == nullptr) return;
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      lease_end_ = absl::InfinitePast();
    }
    stop_requested_.NotifyAll();
    calls_.CancelAll();
    thread_.reset();
    Deregister();
  }

 private:
  void Run() {
    absl::Duration pause = absl::ZeroDuration();
    while (!StopsWithin(pause)) pause = joined_ ? Renew() : Register();
  }

  bool StopsWithin(absl::Duration pause) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::Time until = clock_.Now() + pause;
    MutexLock lock(mutex_);
    while (!stopping_) {
      const absl::Duration left = until - clock_.Now();
      if (left <= absl::ZeroDuration()) return false;
      stop_requested_.WaitFor(mutex_, left);
    }
    return true;
  }

  // Both return how long to wait before the next call.
  absl::Duration Register();
  absl::Duration Renew();
  void Deregister();

  absl::Duration OnLease(absl::Time asked_at, int64_t lease_duration_ms)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Logs when the kind of failure changes, not at each attempt.
  void OnFailure(const absl::Status& status, absl::string_view what);

  template <typename Request, typename Response>
  absl::Status Call(Method<Request, Response> method, const Request& request,
                    absl::Duration timeout, Response& response);

  const LeaseKeeperOptions options_;
  Clock& clock_;
  const std::function<void()> unload_all_;
  const std::unique_ptr<v1::Registry::Stub> stub_;
  OutboundCalls calls_;

  // The keeper's thread's own, and Stop's after it has ended.
  bool joined_ = false;
  uint64_t incarnation_ = 0;
  absl::Duration lease_ = kMinLease;
  absl::Duration backoff_ = kMinBackoff;
  absl::StatusCode logged_failure_ = absl::StatusCode::kOk;

  mutable Mutex mutex_;
  CondVar stop_requested_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time lease_end_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // Held through Stop, before mutex_, so that a second caller returns after it.
  Mutex stop_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  // Null after Stop. Last: its one thread uses all of the above.
  std::unique_ptr<ThreadPool> thread_;
};

absl::Duration LeaseKeeper::Impl::Register() {
  unload_all_();
  incarnation_ = DrawIncarnation();
  v1::RegisterWorkerRequest request;
  request.set_worker_id(options_.worker_id);
  request.set_address(options_.address);
  request.set_incarnation(incarnation_);
  request.set_metrics_address(options_.metrics_address);
  request.set_group(options_.group);
  v1::RegisterWorkerResponse response;
  const absl::Time asked_at = clock_.Now();
  const absl::Status status = Call(&v1::Registry::StubInterface::RegisterWorker,
                                   request, kRegisterTimeout, response);
  if (!status.ok()) {
    OnFailure(status, "not registered");
    return std::exchange(backoff_, std::min(2 * backoff_, kMaxBackoff));
  }
  LogInfo("registered with the gateway at ", options_.gateway_address, " as ",
          options_.worker_id, ", generation ", response.generation());
  joined_ = true;
  backoff_ = kMinBackoff;
  logged_failure_ = absl::StatusCode::kOk;
  return OnLease(asked_at, response.lease_duration_ms());
}

absl::Duration LeaseKeeper::Impl::Renew() {
  v1::RenewLeaseRequest request;
  request.set_worker_id(options_.worker_id);
  request.set_incarnation(incarnation_);
  v1::RenewLeaseResponse response;
  const absl::Time asked_at = clock_.Now();
  const absl::Status status = Call(&v1::Registry::StubInterface::RenewLease,
                                   request, lease_ / 3, response);
  if (status.ok()) {
    if (logged_failure_ != absl::StatusCode::kOk) {
      LogInfo("lease renewed again");
      logged_failure_ = absl::StatusCode::kOk;
    }
    return OnLease(asked_at, response.lease_duration_ms());
  }
  if (!absl::IsNotFound(status)) {
    OnFailure(status, "lease not renewed");
    return lease_ / 12;
  }
  LogWarning("lease lost, registering again: ", status.message());
  joined_ = false;
  MutexLock lock(mutex_);
  lease_end_ = absl::InfinitePast();
  return absl::ZeroDuration();
}

void LeaseKeeper::Impl::Deregister() {
  if (incarnation_ == 0) return;
  v1::DeregisterWorkerRequest request;
  request.set_worker_id(options_.worker_id);
  request.set_incarnation(incarnation_);
  v1::DeregisterWorkerResponse response;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(clock_.Now() + kDeregisterTimeout));
  // Whether it arrives or not, the worker leaves: the lease runs out.
  const absl::Status status =
      FromGrpcStatus(stub_->DeregisterWorker(&context, request, &response));
  if (!status.ok()) LogDebug("not deregistered: ", status.message());
}

absl::Duration LeaseKeeper::Impl::OnLease(absl::Time asked_at,
                                          int64_t lease_duration_ms) {
  lease_ = LeaseOf(lease_duration_ms);
  MutexLock lock(mutex_);
  // From before the gateway heard: it runs out there no earlier.
  if (!stopping_) lease_end_ = asked_at + lease_;
  return lease_ / 3;
}

void LeaseKeeper::Impl::OnFailure(const absl::Status& status,
                                  absl::string_view what) {
  if (status.code() == logged_failure_ || absl::IsCancelled(status)) return;
  logged_failure_ = status.code();
  LogWarning(what, " with the gateway at ", options_.gateway_address,
             ", trying on: ", status.message());
}

template <typename Request, typename Response>
absl::Status LeaseKeeper::Impl::Call(Method<Request, Response> method,
                                     const Request& request,
                                     absl::Duration timeout,
                                     Response& response) {
  auto context = std::make_shared<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(clock_.Now() + timeout));
  if (!calls_.Add(context)) return absl::CancelledError("stopping");
  v1::Registry::StubInterface& stub = *stub_;
  const grpc::Status status = (stub.*method)(context.get(), request, &response);
  calls_.Remove(context);
  return FromGrpcStatus(status);
}

LeaseKeeper::LeaseKeeper(LeaseKeeperOptions options, Clock& clock,
                         std::function<void()> unload_all)
    : impl_(std::make_unique<Impl>(std::move(options), clock,
                                   std::move(unload_all))) {}

LeaseKeeper::~LeaseKeeper() = default;

bool LeaseKeeper::registered() const { return impl_->registered(); }

void LeaseKeeper::Stop() { impl_->Stop(); }

}  // namespace switchyard
