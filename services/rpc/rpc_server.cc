#include "services/rpc/rpc_server.h"

#include <grpc/impl/codegen/grpc_types.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "services/rpc/address.h"

namespace switchyard {
namespace {

// Whether somebody accepts connections there. gRPC would unlink the socket and
// take its place; what nobody listens on is left over and may be replaced.
bool IsUnixSocketInUse(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // ParseAddress has checked the length.
  std::memcpy(address.sun_path, path.data(), path.size());
  const bool in_use = connect(fd, reinterpret_cast<const sockaddr*>(&address),
                              sizeof(address)) == 0;
  close(fd);
  return in_use;
}

void SetArguments(const ServerLimits& limits, grpc::ServerBuilder& builder) {
  const int max_bytes = static_cast<int>(std::min<int64_t>(
      limits.max_message_bytes, std::numeric_limits<int>::max()));
  builder.SetMaxReceiveMessageSize(max_bytes);
  builder.SetMaxSendMessageSize(max_bytes);
  // Otherwise a second server could take the same port, and half the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients of ours ping each 20 s, gRPC lets none do it under 10 s.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  // Room for every call that can run or wait, twice, so that what is over the
  // limits is refused aloud; a connection that opens more waits in silence.
  const int64_t max_streams =
      2 * (limits.num_request_threads + limits.max_queued_requests);
  builder.AddChannelArgument(
      GRPC_ARG_MAX_CONCURRENT_STREAMS,
      static_cast<int>(std::min<int64_t>(max_streams, 1 << 20)));
}

}  // namespace

RpcServer::RpcServer(std::unique_ptr<grpc::Server> server, std::string address)
    : server_(std::move(server)), address_(std::move(address)) {}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const std::string& listen_address, const ServerLimits& limits,
    const std::vector<NamedService>& services) {
  SWITCHYARD_ASSIGN_OR_RETURN(Address address,
                              ParseAddress(listen_address, "listen_address"));
  const bool is_unix = !address.unix_path.empty();
  if (is_unix && IsUnixSocketInUse(address.unix_path)) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen_address, ": in use"));
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetArguments(limits, builder);
  int port = 0;
  builder.AddListeningPort(listen_address, grpc::InsecureServerCredentials(),
                           &port);
  for (const NamedService& service : services) {
    builder.RegisterService(service.service);
  }
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen_address,
                     ": in use, or not an address of this host"));
  }
  for (const NamedService& service : services) {
    server->GetHealthCheckService()->SetServingStatus(service.name, true);
  }
  if (!is_unix) address.port = port;
  return std::unique_ptr<RpcServer>(
      new RpcServer(std::move(server), address.ToString()));
}

void RpcServer::StopServing() {
  server_->GetHealthCheckService()->SetServingStatus(false);
}

void RpcServer::Shutdown(absl::Duration grace) {
  MutexLock lock(shutdown_mutex_);
  if (is_shut_down_) return;
  is_shut_down_ = true;
  server_->Shutdown(std::chrono::system_clock::now() +
                    absl::ToChronoMilliseconds(grace));
  server_->Wait();
}

}  // namespace switchyard
