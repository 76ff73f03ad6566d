// Bare gRPC, for the service to be held against: answers the bytes of each
// call, or passes them on to another such server and answers what that answers.
// Does nothing else, on no thread but gRPC's, with gRPC's own settings.
//
//     wire-echo-server LISTEN [UPSTREAM]
//
// Prints "grpc=ADDRESS metrics=none", then serves until it is killed.
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "bench/wire/bare_channel.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard::bench {
namespace {

using RawService =
    v1::ExpertWorker::WithRawCallbackMethod_Forward<v1::ExpertWorker::Service>;
using BytesStub =
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;

class EchoService final : public RawService {
 public:
  explicit EchoService(std::unique_ptr<BytesStub> upstream)
      : upstream_(std::move(upstream)) {}

  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    if (upstream_ == nullptr) {
      *response = *request;
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
    auto call = std::make_shared<grpc::ClientContext>();
    upstream_->UnaryCall(call.get(), "/switchyard.v1.ExpertWorker/Forward", {},
                         request, response,
                         [call, reactor](const grpc::Status& status) {
                           reactor->Finish(status);
                         });
    return reactor;
  }

 private:
  const std::unique_ptr<BytesStub> upstream_;
};

int Main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: %s LISTEN [UPSTREAM]\n", argv[0]);
    return 2;
  }
  EchoService service(
      argc == 3 ? std::make_unique<BytesStub>(MakeBareChannel(argv[2]))
                : nullptr);
  const std::string listen = argv[1];
  int port = 0;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxBareMessageBytes);
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "cannot listen on %s\n", listen.c_str());
    return 1;
  }
  const bool is_unix = listen.compare(0, 5, "unix:") == 0;
  std::printf(
      "grpc=%s metrics=none\n",
      (is_unix ? listen
               : listen.substr(0, listen.rfind(':') + 1) + std::to_string(port))
          .c_str());
  std::fflush(stdout);
  pause();
  return 0;
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) { return switchyard::bench::Main(argc, argv); }
