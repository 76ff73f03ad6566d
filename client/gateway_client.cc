#include "client/gateway_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "services/rpc/answered.h"
#include "services/rpc/callback_threads.h"
#include "services/rpc/channel.h"
#include "services/rpc/status_conversion.h"
#include "services/shared_memory/memory_link.h"
#include "services/wire/call_buffer.h"
#include "services/wire/layer_call_codec.h"
#include "services/wire/layer_codec.h"
#include "services/wire/status_codec.h"
#include "switchyard/v1/gateway.grpc.pb.h"
#include "switchyard/v1/registry.grpc.pb.h"

namespace switchyard {
namespace {

// As generated blocking stubs do it: the caller's own thread waits for the
// answer.
grpc::Status CallWithBytes(
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>& stub,
    const std::string& method, const grpc::ByteBuffer& request,
    grpc::ClientContext& context, grpc::ByteBuffer& response) {
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::Status status;
  void* tag = nullptr;
  bool ok = false;
  call->Finish(&response, &status, &tag);
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  return status;
}

}  // namespace

class GatewayClient::Impl {
 public:
  using GatewayStub = v1::Gateway::StubInterface;
  using RegistryStub = v1::Registry::StubInterface;
  using BytesStub =
      grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;
  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                        Response*);

  Impl(const std::string& address, const GatewayClientOptions& options)
      : address_(address), options_(options), name_(NewClientName()) {
    const std::shared_ptr<grpc::Channel> channel =
        MakeChannel(address, options.max_message_bytes);
    gateway_ = v1::Gateway::NewStub(channel);
    MakeMemoryLink(channel);
    tokens_ = std::make_unique<BytesStub>(channel);
    registry_ = v1::Registry::NewStub(channel);
  }

  ~Impl() {
    // gRPC may be reading from the stream still; it lets go of what it needs.
    if (memory_ != nullptr) memory_->Close(kCloseTimeout);
  }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<GatewayStub, Request, Response> method,
                                const Request& request) {
    return Call<GatewayStub, Request, Response>(*gateway_, method, request);
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<RegistryStub, Request, Response> method,
                                const Request& request) {
    return Call<RegistryStub, Request, Response>(*registry_, method, request);
  }

  // A call that carries tokens; `method` is its name. `has_answer`: a tensor
  // comes back that is as large.
  template <typename Result, typename Request>
  absl::StatusOr<Result> CallWithTokens(const char* method,
                                        const Request& request,
                                        bool has_answer = true) {
    const Tensor& tokens = *wire::Travel<Request>::Of(request);
    std::optional<SharedCall> shared;
    if (memory_ != nullptr) {
      shared = memory_->Begin(tokens, has_answer ? tokens.size_bytes() : 0);
    }
    const grpc::ByteBuffer message =
        shared.has_value()
            ? wire::EncodeShared(request, shared->request_place(),
                                 shared->offered_place())
            : wire::EncodeBuffer(request, activation_dtype());
    grpc::ByteBuffer response;
    SWITCHYARD_RETURN_IF_ERROR(Await([&](grpc::ClientContext& context) {
      grpc::Status status = CallWithBytes(
          *tokens_, absl::StrCat("/switchyard.v1.Gateway/", method), message,
          context, response);
      if (shared.has_value()) shared->End(WasAnswered(status, context));
      return status;
    }));
    SWITCHYARD_ASSIGN_OR_RETURN(
        wire::Received<Result> received,
        Check(wire::DecodeBuffer<Result>(
            response, shared.has_value() ? &*shared : nullptr)));
    return std::move(received.value);
  }

  // A response that does not decode is the gateway's fault, not the caller's.
  template <typename Result>
  absl::StatusOr<Result> Check(absl::StatusOr<Result> result) const {
    if (result.ok()) return result;
    return absl::InternalError(
        absl::StrCat("gateway at ", address_,
                     ": ill-formed response: ", result.status().message()));
  }

  const std::string& address() const { return address_; }

  Tensor AllocateTensor(const Shape& shape) {
    return memory_ != nullptr ? memory_->Allocate(shape)
                              : Tensor::Uninitialized(shape);
  }

  absl::Status AwaitSharedMemory() {
    if (memory_ != nullptr) return memory_->AwaitAttached(options_.timeout);
    return absl::FailedPreconditionError(
        absl::StrCat("gateway at ", address_,
                     ": no shared memory, expected a unix socket, float32 "
                     "activations and shared_memory_bytes > 0"));
  }

  SharedMemoryUse shared_memory_use() const {
    if (memory_ == nullptr) return {};
    return {.num_shared_calls = memory_->num_shared_calls(),
            .num_inline_calls = memory_->num_inline_calls()};
  }

 private:
  static constexpr absl::Duration kCloseTimeout = absl::Seconds(5);

  void MakeMemoryLink(const std::shared_ptr<grpc::Channel>& channel) {
    if (options_.shared_memory_bytes <= 0 || options_.bfloat16_activations ||
        !absl::StartsWith(address_, "unix:")) {
      return;
    }
    const std::shared_ptr<v1::Gateway::Stub> stub(
        new v1::Gateway::Stub(channel),
        &DeleteOffCallbackThreads<v1::Gateway::Stub>);
    memory_ = std::make_unique<MemoryLink>(
        MemoryLinkOptions{.peer = absl::StrCat("gateway at ", address_),
                          .region_bytes = options_.shared_memory_bytes},
        [stub](grpc::ClientContext* context,
               const v1::AttachMemoryRequest* request,
               MemoryLink::Reader* reader) {
          stub->async()->AttachMemory(context, request, reader);
        },
        /*calls=*/nullptr, Clock::Real());
  }

  v1::DType activation_dtype() const {
    return options_.bfloat16_activations ? v1::DTYPE_BFLOAT16
                                         : v1::DTYPE_FLOAT32;
  }

  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                Method<Stub, Request, Response> method,
                                const Request& request) {
    Response response;
    SWITCHYARD_RETURN_IF_ERROR(Await([&](grpc::ClientContext& context) {
      return (stub.*method)(&context, request, &response);
    }));
    return response;
  }

  absl::Status Await(
      absl::FunctionRef<grpc::Status(grpc::ClientContext&)> call) {
    grpc::ClientContext context;
    context.AddMetadata(kClientNameMetadata, name_);
    context.set_deadline(
        absl::ToChronoTime(Clock::Real().Now() + options_.timeout));
    const absl::Status status = FromGrpcStatus(call(context));
    if (!absl::IsUnavailable(status)) return status;
    return absl::UnavailableError(
        absl::StrCat("gateway at ", address_, ": ", status.message()));
  }

  const std::string address_;
  const GatewayClientOptions options_;
  // Of this client among those that share its connection.
  const std::string name_;
  std::unique_ptr<v1::Gateway::StubInterface> gateway_;
  std::unique_ptr<BytesStub> tokens_;
  std::unique_ptr<v1::Registry::StubInterface> registry_;
  // Null: no memory is shared.
  std::unique_ptr<MemoryLink> memory_;
};

GatewayClient::GatewayClient(const std::string& address,
                             GatewayClientOptions options)
    : impl_(std::make_unique<Impl>(address, options)) {}

GatewayClient::~GatewayClient() = default;
GatewayClient::GatewayClient(GatewayClient&&) noexcept = default;
GatewayClient& GatewayClient::operator=(GatewayClient&&) noexcept = default;

absl::StatusOr<LayerStatus> GatewayClient::CreateLayer(const LayerSpec& spec,
                                                       bool awaits_import) {
  v1::CreateLayerRequest request;
  request.set_awaits_import(awaits_import);
  *request.mutable_spec() = wire::Encode(spec);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::CreateLayerResponse response,
      impl_->Call(&Impl::GatewayStub::CreateLayer, request));
  return impl_->Check(wire::Decode(response.layer()));
}

absl::StatusOr<LayerStatus> GatewayClient::GetLayer(const std::string& name) {
  v1::GetLayerRequest request;
  request.set_layer(name);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::GetLayerResponse response,
      impl_->Call(&Impl::GatewayStub::GetLayer, request));
  return impl_->Check(wire::Decode(response.layer()));
}

absl::StatusOr<std::vector<LayerStatus>> GatewayClient::ListLayers() {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::ListLayersResponse response,
      impl_->Call(&Impl::GatewayStub::ListLayers, v1::ListLayersRequest()));
  std::vector<LayerStatus> layers;
  for (const v1::LayerStatus& message : response.layers()) {
    SWITCHYARD_ASSIGN_OR_RETURN(LayerStatus layer,
                                impl_->Check(wire::Decode(message)));
    layers.push_back(std::move(layer));
  }
  return layers;
}

absl::Status GatewayClient::DeleteLayer(const std::string& name) {
  v1::DeleteLayerRequest request;
  request.set_layer(name);
  return impl_->Call(&Impl::GatewayStub::DeleteLayer, request).status();
}

absl::StatusOr<ForwardResult> GatewayClient::Forward(
    const ForwardRequest& request) {
  return impl_->CallWithTokens<ForwardResult>("Forward", request);
}

absl::StatusOr<BackwardResult> GatewayClient::Backward(
    const BackwardRequest& request) {
  return impl_->CallWithTokens<BackwardResult>("Backward", request);
}

absl::StatusOr<StepResult> GatewayClient::Step(const StepRequest& request) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::StepResponse response,
      impl_->Call(&Impl::GatewayStub::Step, wire::Encode(request)));
  return wire::Decode(response);
}

absl::StatusOr<TrainStepResult> GatewayClient::TrainStep(
    const TrainStepRequest& request) {
  return impl_->CallWithTokens<TrainStepResult>("TrainStep", request,
                                                request.return_grad_x);
}

absl::StatusOr<ReadParametersResult> GatewayClient::ReadParameters(
    const ReadParametersRequest& request) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::ReadParametersResponse response,
      impl_->Call(&Impl::GatewayStub::ReadParameters, wire::Encode(request)));
  return impl_->Check(wire::Decode(response));
}

absl::StatusOr<std::vector<ParameterSlice>> GatewayClient::ReadAllParameters(
    const ReadParametersRequest& request) {
  SWITCHYARD_ASSIGN_OR_RETURN(ReadParametersResult page,
                              ReadParameters(request));
  const uint64_t step = page.step;
  std::vector<ParameterSlice> slices = std::move(page.slices);
  ReadParametersRequest next = request;
  while (!page.next_cursor.empty()) {
    if (page.next_cursor == next.cursor) {
      return absl::InternalError(absl::StrCat("gateway at ", impl_->address(),
                                              ": the cursor does not advance"));
    }
    next.cursor = page.next_cursor;
    SWITCHYARD_ASSIGN_OR_RETURN(page, ReadParameters(next));
    if (page.step != step) {
      return absl::AbortedError(
          absl::StrCat("layer ", request.layer, " went from step ", step,
                       " to ", page.step, " while its parameters were read"));
    }
    for (ParameterSlice& slice : page.slices) {
      slices.push_back(std::move(slice));
    }
  }
  return slices;
}

absl::Status GatewayClient::WriteParameters(
    const WriteParametersRequest& request) {
  return impl_->Call(&Impl::GatewayStub::WriteParameters, wire::Encode(request))
      .status();
}

absl::StatusOr<ImportParametersResult> GatewayClient::ImportParameters(
    const ImportParametersRequest& request) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::ImportParametersResponse response,
      impl_->Call(&Impl::GatewayStub::ImportParameters, wire::Encode(request)));
  return wire::Decode(response);
}

Tensor GatewayClient::AllocateTensor(const Shape& shape) {
  return impl_->AllocateTensor(shape);
}

absl::Status GatewayClient::AwaitSharedMemory() {
  return impl_->AwaitSharedMemory();
}

SharedMemoryUse GatewayClient::shared_memory_use() const {
  return impl_->shared_memory_use();
}

absl::StatusOr<PlacementMap> GatewayClient::GetPlacement(
    const std::string& layer) {
  v1::GetPlacementRequest request;
  request.set_layer(layer);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::GetPlacementResponse response,
      impl_->Call(&Impl::GatewayStub::GetPlacement, request));
  return impl_->Check(wire::Decode(response.placement()));
}

absl::StatusOr<std::vector<LayerLoad>> GatewayClient::GetLoad(
    const std::string& layer) {
  v1::GetLoadRequest request;
  request.set_layer(layer);
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::GetLoadResponse response,
      impl_->Call(&Impl::GatewayStub::GetLoad, request));
  return wire::Decode(response);
}

absl::StatusOr<WorkerList> GatewayClient::ListWorkers() {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const v1::ListWorkersResponse response,
      impl_->Call(&Impl::RegistryStub::ListWorkers, v1::ListWorkersRequest()));
  return impl_->Check(wire::Decode(response));
}

}  // namespace switchyard
