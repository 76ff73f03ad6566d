#include "client/gateway_stream.h"

#include <grpcpp/generic/generic_stub.h>

#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "services/rpc/channel.h"
#include "services/rpc/status_conversion.h"
#include "services/wire/call_buffer.h"
#include "services/wire/stream_message.h"

namespace switchyard {

using wire::StreamCall;
using wire::StreamFrame;

class GatewayStream::Impl final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Takes the answer, or what became of it.
  using OnAnswer = std::function<void(absl::StatusOr<StreamFrame>)>;

  Impl(const std::string& address, const GatewayClientOptions& options,
       int max_in_progress)
      : address_(address),
        options_(options),
        max_in_progress_(static_cast<size_t>(max_in_progress)),
        stub_(MakeChannel(address, options.max_message_bytes)) {
    context_.AddMetadata(kClientNameMetadata, NewClientName());
    stub_.PrepareBidiStreamingCall(&context_, "/switchyard.v1.Gateway/Stream",
                                   {}, this);
    // Held while calls may be made: from outside of gRPC's own callbacks.
    AddHold();
    StartRead(&incoming_);
    StartCall();
  }

  v1::DType dtype() const {
    return options_.bfloat16_activations ? v1::DTYPE_BFLOAT16
                                         : v1::DTYPE_FLOAT32;
  }

  absl::Status Send(StreamCall call, grpc::ByteBuffer body, OnAnswer done) {
    MutexLock lock(mutex_);
    if (!holds_) {
      return absl::UnavailableError(
          absl::StrCat("stream to the gateway at ", address_, ": ended"));
    }
    if (in_progress_.size() >= max_in_progress_) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "stream to the gateway at ", address_, ": ", in_progress_.size(),
          " calls are in progress, at most ", max_in_progress_, " may be"));
    }
    const uint64_t id = ++last_id_;
    in_progress_[id] = std::move(done);
    outgoing_.push_back(wire::EncodeStreamRequest(
        {.id = id,
         .timeout_ms =
             static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.timeout)),
         .call = call,
         .body = std::move(body)}));
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
    return absl::OkStatus();
  }

  absl::Status Finish() {
    MutexLock lock(mutex_);
    if (!is_finishing_) {
      is_finishing_ = true;
      if (outgoing_.empty()) EndWrites();
    }
    while (!is_done_) done_.Wait(mutex_);
    return final_status_;
  }

  void Cancel() {
    context_.TryCancel();
    MutexLock lock(mutex_);
    LetGo();
    while (!is_done_) done_.Wait(mutex_);
  }

 private:
  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    outgoing_.pop_front();
    if (!ok) {
      // The stream is broken: what is queued will not be sent.
      outgoing_.clear();
      return LetGo();
    }
    if (!outgoing_.empty()) return StartWrite(&outgoing_.front());
    if (is_finishing_) EndWrites();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      MutexLock lock(mutex_);
      return LetGo();
    }
    absl::StatusOr<StreamFrame> frame = wire::DecodeStreamResponse(incoming_);
    incoming_.Clear();
    OnAnswer done;
    if (frame.ok()) {
      MutexLock lock(mutex_);
      const auto found = in_progress_.find(frame->id);
      if (found != in_progress_.end()) {
        done = std::move(found->second);
        in_progress_.erase(found);
      }
    }
    if (done != nullptr) done(std::move(frame));
    StartRead(&incoming_);
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status ended = FromGrpcStatus(status);
    absl::flat_hash_map<uint64_t, OnAnswer> unanswered;
    {
      MutexLock lock(mutex_);
      unanswered.swap(in_progress_);
      final_status_ = ended;
    }
    if (ended.ok()) ended = absl::UnavailableError("not answered");
    ended = absl::Status(
        ended.code(), absl::StrCat("stream to the gateway at ", address_, ": ",
                                   ended.message()));
    for (const auto& [id, done] : unanswered) done(ended);
    MutexLock lock(mutex_);
    is_done_ = true;
    done_.NotifyAll();
  }

  void EndWrites() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!holds_) return;
    StartWritesDone();
    LetGo();
  }

  // Nothing more is written from outside.
  void LetGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(holds_, false)) return;
    RemoveHold();
  }

  const std::string address_;
  const GatewayClientOptions options_;
  const size_t max_in_progress_;
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub_;
  grpc::ClientContext context_;
  // Of the read in progress.
  grpc::ByteBuffer incoming_;

  Mutex mutex_;
  CondVar done_;
  bool holds_ ABSL_GUARDED_BY(mutex_) = true;
  bool is_finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status final_status_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, OnAnswer> in_progress_ ABSL_GUARDED_BY(mutex_);
  // The first is being written.
  std::deque<grpc::ByteBuffer> outgoing_ ABSL_GUARDED_BY(mutex_);
};

namespace {

// Decodes an answer that carries tokens for `done`.
template <typename Result>
std::function<void(absl::StatusOr<StreamFrame>)> DecodeFor(
    GatewayStream::Done<Result> done) {
  return [done = std::move(done)](absl::StatusOr<StreamFrame> frame) {
    if (!frame.ok()) return done(frame.status());
    if (!frame->status.ok()) return done(frame->status);
    absl::StatusOr<wire::Received<Result>> received =
        wire::DecodeBuffer<Result>(frame->body);
    if (!received.ok()) {
      return done(absl::InternalError(
          absl::StrCat("ill-formed response: ", received.status().message())));
    }
    done(std::move(received->value));
  };
}

}  // namespace

GatewayStream::GatewayStream(const std::string& address,
                             GatewayClientOptions options, int max_in_progress)
    : impl_(std::make_unique<Impl>(address, options, max_in_progress)) {}

GatewayStream::~GatewayStream() { impl_->Cancel(); }

absl::Status GatewayStream::Forward(const ForwardRequest& request,
                                    Done<ForwardResult> done) {
  return impl_->Send(StreamCall::kForward,
                     wire::EncodeBuffer(request, impl_->dtype()),
                     DecodeFor<ForwardResult>(std::move(done)));
}

absl::Status GatewayStream::Backward(const BackwardRequest& request,
                                     Done<BackwardResult> done) {
  return impl_->Send(StreamCall::kBackward,
                     wire::EncodeBuffer(request, impl_->dtype()),
                     DecodeFor<BackwardResult>(std::move(done)));
}

absl::Status GatewayStream::Step(const StepRequest& request,
                                 Done<StepResult> done) {
  const grpc::Slice body(wire::Encode(request).SerializeAsString());
  return impl_->Send(
      StreamCall::kStep, grpc::ByteBuffer(&body, 1),
      [done = std::move(done)](absl::StatusOr<StreamFrame> frame) {
        if (!frame.ok()) return done(frame.status());
        if (!frame->status.ok()) return done(frame->status);
        v1::StepResponse response;
        const absl::Status parsed = wire::ParseWhole(frame->body, response);
        if (!parsed.ok()) return done(parsed);
        done(wire::Decode(response));
      });
}

absl::Status GatewayStream::TrainStep(const TrainStepRequest& request,
                                      Done<TrainStepResult> done) {
  return impl_->Send(StreamCall::kTrainStep,
                     wire::EncodeBuffer(request, impl_->dtype()),
                     DecodeFor<TrainStepResult>(std::move(done)));
}

absl::Status GatewayStream::Finish() { return impl_->Finish(); }

}  // namespace switchyard
