#include "bench/wire/echo_chain.h"

#include <grpcpp/client_context.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/wire/bare_channel.h"
#include "cli/local_cluster.h"
#include "cli/process/child_process.h"
#include "cli/process/socket_folder.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "services/rpc/status_conversion.h"

namespace switchyard::bench {

class EchoChain::Impl {
 public:
  absl::Status Start(bool unix_sockets) {
    if (unix_sockets) {
      SWITCHYARD_ASSIGN_OR_RETURN(sockets_, SocketFolder::Create());
    }
    SWITCHYARD_ASSIGN_OR_RETURN(const std::string echo,
                                StartServer("echo", {}));
    SWITCHYARD_ASSIGN_OR_RETURN(const std::string relay,
                                StartServer("relay", {echo}));
    channel_ = MakeBareChannel(relay);
    return absl::OkStatus();
  }

  absl::Status Call(int64_t num_bytes) {
    grpc::ClientContext context;
    const grpc::Slice slice(bytes_.data(), static_cast<size_t>(num_bytes),
                            grpc::Slice::STATIC_SLICE);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    const grpc::internal::RpcMethod method(
        "/switchyard.v1.ExpertWorker/Forward",
        grpc::internal::RpcMethod::NORMAL_RPC);
    SWITCHYARD_RETURN_IF_ERROR(FromGrpcStatus(grpc::internal::BlockingUnaryCall(
        channel_.get(), method, &context, request, &response)));
    if (response.Length() == request.Length()) return absl::OkStatus();
    return absl::InternalError(
        absl::StrCat("got ", response.Length(), " bytes back of ", num_bytes));
  }

 private:
  absl::StatusOr<std::string> StartServer(
      const std::string& name, const std::vector<std::string>& upstream) {
    ChildOptions options;
    SWITCHYARD_ASSIGN_OR_RETURN(const std::string binary,
                                SiblingBinary("wire-echo-server"));
    options.argv = {binary, sockets_ != nullptr ? sockets_->AddressOf(name)
                                                : "127.0.0.1:0"};
    options.argv.insert(options.argv.end(), upstream.begin(), upstream.end());
    options.environment = EnvironmentWithout("SWITCHYARD_");
    options.background = true;
    options.capture_stdout = true;
    SWITCHYARD_ASSIGN_OR_RETURN(ChildProcess process,
                                ChildProcess::Start(options));
    processes_.push_back(std::move(process));
    const absl::Time deadline = Clock::Real().Now() + absl::Seconds(10);
    while (Clock::Real().Now() < deadline) {
      SWITCHYARD_ASSIGN_OR_RETURN(const std::optional<std::string> line,
                                  processes_.back().PollLine());
      if (line.has_value()) {
        SWITCHYARD_ASSIGN_OR_RETURN(const ListeningLine listening,
                                    ParseListeningLine(*line));
        return listening.address;
      }
      absl::SleepFor(absl::Milliseconds(5));
    }
    return absl::DeadlineExceededError(
        absl::StrCat(name, " did not say what it listens on"));
  }

  std::unique_ptr<SocketFolder> sockets_;
  std::vector<ChildProcess> processes_;
  std::shared_ptr<grpc::Channel> channel_;
  const std::string bytes_ = std::string(kMaxBareMessageBytes, 'x');
};

EchoChain::EchoChain(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

EchoChain::~EchoChain() = default;

absl::StatusOr<std::unique_ptr<EchoChain>> EchoChain::Start(bool unix_sockets) {
  auto impl = std::make_unique<Impl>();
  SWITCHYARD_RETURN_IF_ERROR(impl->Start(unix_sockets));
  return std::unique_ptr<EchoChain>(new EchoChain(std::move(impl)));
}

absl::Status EchoChain::Call(int64_t num_bytes) {
  return impl_->Call(num_bytes);
}

}  // namespace switchyard::bench
