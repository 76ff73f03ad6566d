#include "services/gateway_stream.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "services/rpc/exception_boundary.h"
#include "services/rpc/status_conversion.h"
#include "services/stream_order.h"
#include "services/wire/call_buffer.h"
#include "services/wire/stream_message.h"

namespace switchyard {
namespace {

using wire::StreamCall;
using wire::StreamFrame;

// A call that carries tokens: its request's bytes to its response's.
template <typename Request, typename Result>
absl::StatusOr<grpc::ByteBuffer> RunWithTokens(
    Gateway& gateway,
    absl::StatusOr<Result> (Gateway::*method)(const Request&,
                                              const CallContext&),
    const grpc::ByteBuffer& bytes, const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const wire::Received<Request> received,
                              wire::DecodeBuffer<Request>(bytes));
  SWITCHYARD_ASSIGN_OR_RETURN(const Result result,
                              (gateway.*method)(received.value, call));
  return wire::EncodeBuffer(result, received.dtype);
}

absl::StatusOr<grpc::ByteBuffer> RunStep(Gateway& gateway,
                                         const grpc::ByteBuffer& bytes,
                                         const CallContext& call) {
  v1::StepRequest request;
  SWITCHYARD_RETURN_IF_ERROR(wire::ParseWhole(bytes, request));
  SWITCHYARD_ASSIGN_OR_RETURN(const StepResult result,
                              gateway.Step(wire::Decode(request), call));
  const grpc::Slice response(wire::Encode(result).SerializeAsString());
  return grpc::ByteBuffer(&response, 1);
}

absl::StatusOr<grpc::ByteBuffer> RunCall(Gateway& gateway,
                                         const StreamFrame& frame,
                                         const CallContext& call) {
  switch (frame.call) {
    case StreamCall::kForward:
      return RunWithTokens(gateway, &Gateway::Forward, frame.body, call);
    case StreamCall::kBackward:
      return RunWithTokens(gateway, &Gateway::Backward, frame.body, call);
    case StreamCall::kTrainStep:
      return RunWithTokens(gateway, &Gateway::TrainStep, frame.body, call);
    case StreamCall::kStep:
      return RunStep(gateway, frame.body, call);
    case StreamCall::kNone:
      break;
  }
  return absl::InvalidArgumentError(
      "request: not set, expected forward, backward, step or train_step");
}

// The stream, from its beginning until gRPC is done with it; then it deletes
// itself.
class Stream final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(Gateway& gateway, UnaryHandler& handler, const ServerLimits& limits,
         grpc::CallbackServerContext& context)
      : gateway_(gateway),
        handler_(handler),
        limits_(limits),
        client_(ClientOf(context)),
        deadline_(absl::FromChrono(context.deadline())) {
    handler_.queue().BeginCall();
    StartRead(&incoming_);
    on_drain_.emplace(handler_.queue().draining(), [this] { OnDrain(); });
  }

 private:
  // One request, until its answer has been written.
  class Request final : public RequestQueue::Request {
   public:
    Request(Stream& stream, StreamFrame taken_frame, int64_t request_bytes)
        : RequestQueue::Request(stream.client_, request_bytes),
          frame(std::move(taken_frame)),
          head(wire::HeadOf(frame)),
          num_bytes(request_bytes),
          deadline(stream.DeadlineOf(frame)),
          stream_(stream) {}

    void Run() override { stream_.RunRequest(*this); }
    void TurnAway(absl::Status status) override {
      stream_.Answer(*this, std::move(status));
    }

    StreamFrame frame;
    const wire::StreamHead head;
    const int64_t num_bytes;
    const absl::Time deadline;
    const Stopwatch stopwatch;
    // Guarded by the stream's mutex. Started: handed to the queue. Ended: no
    // other waits for it any more.
    bool started = false;
    bool ended = false;

   private:
    Stream& stream_;
  };
  struct Outgoing {
    grpc::ByteBuffer bytes;
    Request* request;
  };

  absl::Time DeadlineOf(const StreamFrame& frame) const {
    constexpr uint64_t kMaxTimeoutMs = uint64_t{1} << 40;
    const absl::Time latest = handler_.DeadlineOf(deadline_);
    if (frame.timeout_ms == 0 || frame.timeout_ms > kMaxTimeoutMs) {
      return latest;
    }
    return std::min(
        latest, Clock::Real().Now() +
                    absl::Milliseconds(static_cast<int64_t>(frame.timeout_ms)));
  }

  void OnReadDone(bool ok) override {
    bool accepted = false;
    if (ok) accepted = Accept();
    MutexLock lock(mutex_);
    is_reading_ = false;
    if (!accepted) reads_done_ = true;
    ReadOn();
    FinishIfDone();
  }

  // Takes the message that has come; false if nothing more can be made of the
  // stream.
  bool Accept() {
    const auto num_bytes = static_cast<int64_t>(incoming_.Length());
    absl::StatusOr<StreamFrame> frame = wire::DecodeStreamRequest(incoming_);
    incoming_.Clear();
    if (!frame.ok()) {
      MutexLock lock(mutex_);
      final_status_ = frame.status();
      return false;
    }
    auto request =
        std::make_unique<Request>(*this, *std::move(frame), num_bytes);
    Request* const taken = request.get();
    bool is_in_use = false;
    {
      MutexLock lock(mutex_);
      if (is_finished_) return false;
      for (const auto& other : requests_) {
        is_in_use |= !other->ended && other->frame.id == taken->frame.id;
      }
      in_progress_bytes_ += num_bytes;
      requests_.push_back(std::move(request));
      // Not for the queue.
      if (is_in_use) taken->started = true;
    }
    Metrics(*taken).Begin();
    if (is_in_use) {
      Answer(*taken, absl::InvalidArgumentError(absl::StrCat(
                         "id: got ", taken->frame.id,
                         ", expected one that no request in progress has")));
    } else {
      StartRequests();
    }
    return true;
  }

  // Hands requests that need not wait for others to the queue.
  void StartRequests() {
    std::vector<Request*> startable;
    {
      MutexLock lock(mutex_);
      for (auto later = requests_.begin(); later != requests_.end(); ++later) {
        if ((*later)->started) continue;
        const bool waits =
            std::any_of(requests_.begin(), later, [&](const auto& earlier) {
              return !earlier->ended && MustWait(earlier->head, (*later)->head);
            });
        if (waits) continue;
        (*later)->started = true;
        startable.push_back(later->get());
      }
    }
    for (Request* const request : startable) {
      absl::Status submitted = handler_.queue().Submit(*request);
      if (!submitted.ok()) Answer(*request, std::move(submitted));
    }
    // Those of a client that has left must not stay: see OnCancel.
    if (!startable.empty() && cancellation_.stop_requested()) WithdrawAll();
  }

  void RunRequest(Request& request) {
    const CallContext call(request.deadline, cancellation_.get_token());
    absl::StatusOr<grpc::ByteBuffer> response = absl::UnknownError("not run");
    const absl::Status status = RunCatching([&]() -> absl::Status {
      SWITCHYARD_RETURN_IF_ERROR(call.Check(Clock::Real()));
      response = RunCall(gateway_, request.frame, call);
      return response.status();
    });
    if (!status.ok()) return Answer(request, status);
    Answer(request, *std::move(response));
  }

  void Answer(Request& request, absl::StatusOr<grpc::ByteBuffer> response) {
    Metrics(request).Record(response.status(), request.stopwatch.ElapsedUs());
    StreamFrame frame = {.id = request.frame.id, .call = request.frame.call};
    if (response.ok()) {
      frame.body = *std::move(response);
    } else {
      frame.status = response.status();
    }
    grpc::ByteBuffer bytes = wire::EncodeStreamResponse(frame);
    handler_.queue().Release(request);
    {
      // What waited for it must not be started once the stream may be gone: an
      // unwritten answer holds it.
      MutexLock lock(mutex_);
      request.ended = true;
      request.frame.body.Clear();
      ++num_answering_;
    }
    StartRequests();
    MutexLock lock(mutex_);
    --num_answering_;
    outgoing_.push_back({std::move(bytes), &request});
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front().bytes);
  }

  // After a write that failed all others do, each in its turn, and OnCancel
  // comes.
  void OnWriteDone(bool /*ok*/) override {
    MutexLock lock(mutex_);
    Request* const written = outgoing_.front().request;
    outgoing_.pop_front();
    in_progress_bytes_ -= written->num_bytes;
    requests_.remove_if(
        [&](const auto& request) { return request.get() == written; });
    if (!outgoing_.empty()) StartWrite(&outgoing_.front().bytes);
    ReadOn();
    FinishIfDone();
  }

  void OnCancel() override {
    cancellation_.request_stop();
    WithdrawAll();
    MutexLock lock(mutex_);
    FinishIfDone();
  }

  void WithdrawAll() {
    std::vector<Request*> withdrawn;
    {
      MutexLock lock(mutex_);
      for (const auto& request : requests_) {
        if (request->started && !request->ended &&
            handler_.queue().Withdraw(*request)) {
          withdrawn.push_back(request.get());
        }
      }
      ++num_answering_;
    }
    for (Request* const request : withdrawn) {
      Answer(*request, CallContext::CancelledError());
    }
    MutexLock lock(mutex_);
    --num_answering_;
    FinishIfDone();
  }

  void OnDrain() {
    MutexLock lock(mutex_);
    is_draining_ = true;
    FinishIfDone();
  }

  // Reads the next message if there is room for another request.
  void ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (is_reading_ || reads_done_ || is_draining_ || is_finished_) return;
    if (static_cast<int64_t>(requests_.size()) >= limits_.max_stream_requests ||
        in_progress_bytes_ >= limits_.max_stream_request_bytes) {
      return;
    }
    is_reading_ = true;
    StartRead(&incoming_);
  }

  void FinishIfDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const bool no_more_come =
        reads_done_ || is_draining_ || cancellation_.stop_requested();
    if (is_finished_ || !no_more_come || !requests_.empty() ||
        num_answering_ > 0) {
      return;
    }
    is_finished_ = true;
    if (is_draining_ && !reads_done_ && final_status_.ok()) {
      final_status_ = absl::UnavailableError(
          absl::StrCat(handler_.queue().name(), ": shutting down"));
    }
    Finish(ToGrpcStatus(final_status_));
  }

  void OnDone() override {
    RequestQueue& queue = handler_.queue();
    delete this;
    queue.EndCall();
  }

  MethodMetrics& Metrics(const Request& request) {
    return handler_.metrics().ForMethod(wire::NameOf(request.frame.call));
  }

  Gateway& gateway_;
  UnaryHandler& handler_;
  const ServerLimits& limits_;
  const std::string client_;
  const absl::Time deadline_;
  std::stop_source cancellation_;
  // Of the read in progress.
  grpc::ByteBuffer incoming_;

  Mutex mutex_;
  // In the order in which they came.
  std::list<std::unique_ptr<Request>> requests_ ABSL_GUARDED_BY(mutex_);
  int64_t in_progress_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Answers not yet written; the first is being written.
  std::deque<Outgoing> outgoing_ ABSL_GUARDED_BY(mutex_);
  // Threads that still use the stream though it may have no requests.
  int64_t num_answering_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool reads_done_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status final_status_ ABSL_GUARDED_BY(mutex_);

  // Last: it uses all of the above.
  std::optional<std::stop_callback<std::function<void()>>> on_drain_;
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartGatewayStream(
    Gateway& gateway, UnaryHandler& handler, const ServerLimits& limits,
    grpc::CallbackServerContext& context) {
  return new Stream(gateway, handler, limits, context);
}

}  // namespace switchyard
