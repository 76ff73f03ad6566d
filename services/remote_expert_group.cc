#include "services/remote_expert_group.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "services/rpc/answered.h"
#include "services/rpc/callback_threads.h"
#include "services/rpc/channel.h"
#include "services/rpc/exception_boundary.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/status_conversion.h"
#include "services/shared_memory/memory_link.h"
#include "services/wire/call_buffer.h"
#include "services/wire/expert_codec.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard {
namespace {

using AsyncStub = v1::ExpertWorker::StubInterface::async_interface;

// For what carries tokens, as bytes.
using BytesStub =
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;

// A connection is read and written by one thread at a time.
constexpr int kNumBulkChannels = 2;

struct BulkConnection {
  explicit BulkConnection(const std::shared_ptr<grpc::Channel>& channel)
      : stub(channel) {}

  BytesStub stub;
  std::atomic<int64_t> num_calls = 0;
};

struct Stubs {
  explicit Stubs(const std::string& address, int64_t max_message_bytes)
      : control(v1::ExpertWorker::NewStub(
            MakeChannel(address, max_message_bytes))) {
    for (int i = 0; i < kNumBulkChannels; ++i) {
      const auto channel = MakeChannel(address, max_message_bytes);
      if (i == 0) bulk = v1::ExpertWorker::NewStub(channel);
      tokens.push_back(std::make_unique<BulkConnection>(channel));
    }
  }

  // With the fewest calls on it: calls that come one by one all take the first,
  // which is the faster for being warm.
  BulkConnection& LeastBusy() {
    BulkConnection* least = tokens.front().get();
    for (const auto& connection : tokens) {
      if (connection->num_calls < least->num_calls) least = connection.get();
    }
    return *least;
  }

  std::vector<std::unique_ptr<BulkConnection>> tokens;
  // The first of them, for parameters.
  std::unique_ptr<v1::ExpertWorker::Stub> bulk;
  const std::unique_ptr<v1::ExpertWorker::Stub> control;
};

constexpr char kForwardMethod[] = "/switchyard.v1.ExpertWorker/Forward";
constexpr char kBackwardMethod[] = "/switchyard.v1.ExpertWorker/Backward";
constexpr char kGroupForwardMethod[] =
    "/switchyard.v1.ExpertWorker/GroupForward";
constexpr char kGroupBackwardMethod[] =
    "/switchyard.v1.ExpertWorker/GroupBackward";

constexpr int64_t kFloatBytes = sizeof(float);

// Of the answer's rows.
int64_t AnswerBytes(const ExpertForwardRequest& request) {
  const auto num_routes = static_cast<int64_t>(request.route_tokens.size());
  return request.exact_combine ? num_routes * request.x.cols() * kFloatBytes
                               : request.x.size_bytes();
}

// Without exact_combine, which is not known here.
int64_t AnswerBytes(const ExpertBackwardRequest& request) {
  return request.grad_y.size_bytes();
}

// One call; lives until gRPC has answered, whatever becomes of the group.
template <typename Request, typename Response>
struct Call {
  // Goes after the context, which holds a channel too: not as the last.
  std::shared_ptr<Stubs> stubs;
  grpc::ClientContext context;
  Request request;
  Response response;
  // Cancels it with the call that it is made for.
  std::optional<std::stop_callback<std::function<void()>>> cancel;
};

template <typename Request, typename Response>
using Method = void (AsyncStub::*)(grpc::ClientContext*, const Request*,
                                   Response*,
                                   std::function<void(grpc::Status)>);

// Codes that a worker never answers with, or not because of the request: the
// call is gone, and the worker perhaps too.
bool IsTransportFailure(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kCancelled ||
         code == absl::StatusCode::kUnknown;
}

// `worker` names it: "worker w-1 at 10.0.0.7:4100".
absl::Status FromWorker(const std::string& worker, const grpc::Status& status,
                        const CallContext& caller) {
  if (status.ok()) return absl::OkStatus();
  const absl::Status converted = FromGrpcStatus(status);
  // Not the worker's fault, which must not be taken for lost.
  const bool cancelled = absl::IsCancelled(converted) && caller.IsCancelled();
  const absl::StatusCode code =
      IsTransportFailure(converted.code()) && !cancelled
          ? absl::StatusCode::kUnavailable
          : converted.code();
  return absl::Status(code, absl::StrCat(worker, ": ", converted.message()));
}

template <typename Result>
absl::StatusOr<Result> CheckResponse(const std::string& worker,
                                     absl::StatusOr<Result> result) {
  if (result.ok()) return result;
  return absl::InternalError(absl::StrCat(
      worker, ": ill-formed response: ", result.status().message()));
}

}  // namespace

class RemoteExpertGroup::Impl {
 public:
  Impl(const std::string& worker_id, const std::string& address,
       int64_t max_message_bytes, std::shared_ptr<OutboundCalls> calls,
       const WorkerMemory& memory)
      : worker_(absl::StrCat("worker ", worker_id, " at ", address)),
        calls_(calls != nullptr ? std::move(calls)
                                : std::make_shared<OutboundCalls>()),
        stubs_(new Stubs(address, max_message_bytes),
               // Callbacks let go of calls, and of groups with `done`.
               &DeleteOffCallbackThreads<Stubs>) {
    if (memory.region_bytes == 0 || !absl::StartsWith(address, "unix:")) return;
    memory_ = std::make_unique<MemoryLink>(
        MemoryLinkOptions{.peer = worker_,
                          .region_bytes = memory.region_bytes,
                          .shared_calls = memory.shared_calls,
                          .inline_calls = memory.inline_calls},
        [stubs = stubs_](grpc::ClientContext* context,
                         const v1::AttachMemoryRequest* request,
                         MemoryLink::Reader* reader) {
          stubs->control->async()->AttachMemory(context, request, reader);
        },
        calls_, Clock::Real());
  }

  Tensor AllocateTokens(const Shape& shape) {
    return memory_ != nullptr ? memory_->Allocate(shape)
                              : Tensor::Uninitialized(shape);
  }

  AsyncStub& bulk() { return *stubs_->bulk->async(); }
  AsyncStub& control() { return *stubs_->control->async(); }

  // Ends with the status alone.
  template <typename Request, typename Response>
  void Start(AsyncStub& stub, Method<Request, Response> method, Request request,
             const CallContext& call, Done done) {
    StartCall<Request, Response>(
        Bound(stub, method), std::move(request), call,
        [done = std::move(done)](absl::Status status, const std::string&,
                                 const Response&) { done(std::move(status)); });
  }

  // Ends with the decoded response.
  template <typename Result, typename Request, typename Response>
  void StartWith(AsyncStub& stub, Method<Request, Response> method,
                 Request request, const CallContext& call,
                 DoneWith<Result> done) {
    StartCall<Request, Response>(
        Bound(stub, method), std::move(request), call,
        DecodeAndEnd<Result, Response>(
            [](const Response& response) -> absl::StatusOr<Result> {
              return wire::Decode(response);
            },
            std::move(done)));
  }

  // The same for a call that carries tokens.
  template <typename Result, typename Request>
  void StartWithTokens(const char* method, const Request& request,
                       v1::DType dtype, const CallContext& call,
                       DoneWith<Result> done) {
    std::shared_ptr<SharedCall> shared;
    if (memory_ != nullptr) {
      auto begun = memory_->Begin(*wire::Travel<Request>::Of(request),
                                  AnswerBytes(request));
      if (begun.has_value()) {
        shared = std::make_shared<SharedCall>(*std::move(begun));
      }
    }
    StartCall<grpc::ByteBuffer, grpc::ByteBuffer>(
        [this, method](grpc::ClientContext* context,
                       const grpc::ByteBuffer* bytes,
                       grpc::ByteBuffer* response,
                       std::function<void(grpc::Status)> on_done) {
          BulkConnection& connection = stubs_->LeastBusy();
          ++connection.num_calls;
          connection.stub.UnaryCall(context, method, {}, bytes, response,
                                    [&connection, on_done = std::move(on_done)](
                                        const grpc::Status& status) {
                                      --connection.num_calls;
                                      on_done(status);
                                    });
        },
        shared != nullptr ? wire::EncodeShared(request, shared->request_place(),
                                               shared->offered_place())
                          : wire::EncodeBuffer(request, dtype),
        call,
        DecodeAndEnd<Result, grpc::ByteBuffer>(
            [view = shared.get()](
                const grpc::ByteBuffer& response) -> absl::StatusOr<Result> {
              SWITCHYARD_ASSIGN_OR_RETURN(
                  wire::Received<Result> received,
                  wire::DecodeBuffer<Result>(response, view));
              return std::move(received.value);
            },
            std::move(done)),
        shared);
  }

 private:
  template <typename Response>
  using OnEnd =
      std::function<void(absl::Status, const std::string&, const Response&)>;

  template <typename Request, typename Response>
  static auto Bound(AsyncStub& stub, Method<Request, Response> method) {
    return [&stub, method](grpc::ClientContext* context, const Request* request,
                           Response* response,
                           std::function<void(grpc::Status)> on_done) {
      (stub.*method)(context, request, response, std::move(on_done));
    };
  }

  template <typename Result, typename Response, typename DecodeFunction>
  static OnEnd<Response> DecodeAndEnd(DecodeFunction decode,
                                      DoneWith<Result> done) {
    return [decode, done = std::move(done)](absl::Status status,
                                            const std::string& worker,
                                            const Response& response) {
      if (!status.ok()) return done(std::move(status));
      absl::StatusOr<Result> result = absl::UnknownError("not decoded");
      status = RunCatching([&] {
        result = CheckResponse<Result>(worker, decode(response));
        return absl::OkStatus();
      });
      if (!status.ok()) return done(std::move(status));
      done(std::move(result));
    };
  }

  // `start(context, request, response, on_done)` makes the call. `shared`: its
  // places in shared memory, if it has any.
  template <typename Request, typename Response, typename StartFunction>
  void StartCall(StartFunction start, Request request,
                 const CallContext& caller, OnEnd<Response> done,
                 std::shared_ptr<SharedCall> shared = nullptr) {
    auto call = std::make_shared<Call<Request, Response>>();
    call->stubs = stubs_;
    if (caller.IsCancelled()) {
      return done(FromWorker(worker_, grpc::Status::CANCELLED, caller), worker_,
                  call->response);
    }
    const std::shared_ptr<grpc::ClientContext> context(call, &call->context);
    if (!calls_->Add(context)) {
      return done(absl::UnavailableError(absl::StrCat(
                      worker_, ": not called, the gateway is shutting down")),
                  worker_, call->response);
    }
    call->context.set_deadline(absl::ToChronoTime(caller.deadline()));
    call->request = std::move(request);
    call->cancel.emplace(caller.cancellation(),
                         [weak = std::weak_ptr<Call<Request, Response>>(call)] {
                           // Held: the call may end within TryCancel.
                           if (const auto held = weak.lock())
                             held->context.TryCancel();
                         });
    start(&call->context, &call->request, &call->response,
          [call, caller, calls = calls_, worker = worker_,
           shared = std::move(shared),
           done = std::move(done)](const grpc::Status& status) mutable {
            if (shared != nullptr) {
              shared->End(WasAnswered(status, call->context));
            }
            done(FromWorker(worker, status, caller), worker, call->response);
            // What they hold must be gone before the call is.
            done = nullptr;
            shared.reset();
            std::shared_ptr<grpc::ClientContext> ended(call, &call->context);
            call.reset();
            calls->Remove(std::move(ended));
          });
  }

  const std::string worker_;
  const std::shared_ptr<OutboundCalls> calls_;
  const std::shared_ptr<Stubs> stubs_;
  // Null: the worker is on another host, or shall have none.
  std::unique_ptr<MemoryLink> memory_;
};

RemoteExpertGroup::RemoteExpertGroup(const std::string& worker_id,
                                     const std::string& address,
                                     int64_t max_message_bytes,
                                     std::shared_ptr<OutboundCalls> calls,
                                     const WorkerMemory& memory)
    : impl_(std::make_unique<Impl>(worker_id, address, max_message_bytes,
                                   std::move(calls), memory)) {}

RemoteExpertGroup::~RemoteExpertGroup() = default;

void RemoteExpertGroup::LoadExperts(const LoadExpertsRequest& request,
                                    const CallContext& call, Done done) {
  impl_->Start<v1::LoadExpertsRequest, v1::LoadExpertsResponse>(
      impl_->control(), &AsyncStub::LoadExperts, wire::Encode(request), call,
      std::move(done));
}

void RemoteExpertGroup::UnloadExperts(const std::string& layer,
                                      const CallContext& call, Done done) {
  v1::UnloadExpertsRequest request;
  request.set_layer(layer);
  impl_->Start<v1::UnloadExpertsRequest, v1::UnloadExpertsResponse>(
      impl_->control(), &AsyncStub::UnloadExperts, std::move(request), call,
      std::move(done));
}

void RemoteExpertGroup::ReadExperts(
    const ReadExpertsRequest& request, const CallContext& call,
    DoneWith<std::vector<ParameterSlice>> done) {
  impl_->StartWith<std::vector<ParameterSlice>, v1::ReadExpertsRequest,
                   v1::ReadExpertsResponse>(
      impl_->bulk(), &AsyncStub::ReadExperts, wire::Encode(request), call,
      std::move(done));
}

void RemoteExpertGroup::WriteExperts(const WriteExpertsRequest& request,
                                     const CallContext& call, Done done) {
  impl_->Start<v1::WriteExpertsRequest, v1::WriteExpertsResponse>(
      impl_->bulk(), &AsyncStub::WriteExperts, wire::Encode(request), call,
      std::move(done));
}

void RemoteExpertGroup::ImportExperts(const ImportExpertsRequest& request,
                                      const CallContext& call, Done done) {
  impl_->Start<v1::ImportExpertsRequest, v1::ImportExpertsResponse>(
      impl_->bulk(), &AsyncStub::ImportExperts, wire::Encode(request), call,
      std::move(done));
}

Tensor RemoteExpertGroup::AllocateTokens(const Shape& shape) {
  return impl_->AllocateTokens(shape);
}

void RemoteExpertGroup::Forward(const ExpertForwardRequest& request,
                                const CallContext& call,
                                DoneWith<ExpertForwardResult> done) {
  impl_->StartWithTokens<ExpertForwardResult>(
      request.group.has_value() ? kGroupForwardMethod : kForwardMethod, request,
      wire::LosslessDType(request.x), call, std::move(done));
}

void RemoteExpertGroup::Backward(const ExpertBackwardRequest& request,
                                 const CallContext& call,
                                 DoneWith<ExpertBackwardResult> done) {
  impl_->StartWithTokens<ExpertBackwardResult>(
      request.group.has_value() ? kGroupBackwardMethod : kBackwardMethod,
      request, wire::LosslessDType(request.grad_y), call, std::move(done));
}

void RemoteExpertGroup::DropMicrobatch(const std::string& layer,
                                       const MicrobatchKey& key,
                                       const CallContext& call, Done done) {
  impl_->Start<v1::DropMicrobatchRequest, v1::DropMicrobatchResponse>(
      impl_->control(), &AsyncStub::DropMicrobatch,
      wire::EncodeDropMicrobatch(layer, key), call, std::move(done));
}

void RemoteExpertGroup::PrepareStep(const StepKey& key, const CallContext& call,
                                    DoneWith<PrepareStepResult> done) {
  impl_->StartWith<PrepareStepResult, v1::PrepareStepRequest,
                   v1::PrepareStepResponse>(
      impl_->control(), &AsyncStub::PrepareStep,
      wire::EncodeStepKey<v1::PrepareStepRequest>(key), call, std::move(done));
}

void RemoteExpertGroup::CommitStep(const StepKey& key, float learning_rate,
                                   const CallContext& call, Done done) {
  auto request = wire::EncodeStepKey<v1::CommitStepRequest>(key);
  request.set_learning_rate(learning_rate);
  impl_->Start<v1::CommitStepRequest, v1::CommitStepResponse>(
      impl_->control(), &AsyncStub::CommitStep, std::move(request), call,
      std::move(done));
}

void RemoteExpertGroup::AbortStep(const StepKey& key, const CallContext& call,
                                  Done done) {
  impl_->Start<v1::AbortStepRequest, v1::AbortStepResponse>(
      impl_->control(), &AsyncStub::AbortStep,
      wire::EncodeStepKey<v1::AbortStepRequest>(key), call, std::move(done));
}

void RemoteExpertGroup::JoinGroup(const JoinGroupRequest& request,
                                  const CallContext& call,
                                  DoneWith<JoinGroupResult> done) {
  impl_
      ->StartWith<JoinGroupResult, v1::JoinGroupRequest, v1::JoinGroupResponse>(
          impl_->control(), &AsyncStub::JoinGroup, wire::Encode(request), call,
          std::move(done));
}

void RemoteExpertGroup::ConnectGroup(const ConnectGroupRequest& request,
                                     const CallContext& call, Done done) {
  impl_->Start<v1::ConnectGroupRequest, v1::ConnectGroupResponse>(
      impl_->control(), &AsyncStub::ConnectGroup, wire::Encode(request), call,
      std::move(done));
}

void RemoteExpertGroup::LeaveGroup(uint64_t group_id, const CallContext& call,
                                   Done done) {
  v1::LeaveGroupRequest request;
  request.set_group_id(group_id);
  impl_->Start<v1::LeaveGroupRequest, v1::LeaveGroupResponse>(
      impl_->control(), &AsyncStub::LeaveGroup, std::move(request), call,
      std::move(done));
}

void RemoteExpertGroup::CancelGroupCall(uint64_t group_id, uint64_t sequence,
                                        const CallContext& call, Done done) {
  v1::CancelGroupCallRequest request;
  request.set_group_id(group_id);
  request.set_sequence(sequence);
  impl_->Start<v1::CancelGroupCallRequest, v1::CancelGroupCallResponse>(
      impl_->control(), &AsyncStub::CancelGroupCall, std::move(request), call,
      std::move(done));
}

}  // namespace switchyard
