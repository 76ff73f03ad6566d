// A server with one method whose body each test writes.
#ifndef SWITCHYARD_SERVICES_RPC_RPC_TESTING_H_
#define SWITCHYARD_SERVICES_RPC_RPC_TESTING_H_

#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "services/rpc/channel.h"
#include "services/rpc/request_metrics.h"
#include "services/rpc/rpc_server.h"
#include "services/rpc/status_conversion.h"
#include "services/rpc/unary_handler.h"
#include "switchyard/v1/registry.grpc.pb.h"

namespace switchyard::testing {

class FixedClock final : public Clock {
 public:
  explicit FixedClock(absl::Time now) : now_(now) {}
  absl::Time Now() override { return now_; }

 private:
  const absl::Time now_;
};

class TestServer {
 public:
  using Body =
      std::function<absl::Status(const v1::RenewLeaseRequest&,
                                 v1::RenewLeaseResponse&, const CallContext&)>;

  TestServer(const ServerLimits& limits, Body body,
             Clock& clock = Clock::Real())
      : handler("test requests", limits, clock, metrics_),
        service_(handler, std::move(body)) {
    auto started = RpcServer::Start("127.0.0.1:0", limits,
                                    {{"switchyard.v1.Registry", &service_}});
    EXPECT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::Registry::NewStub(
        MakeChannel(server->address(), int64_t{64} << 20));
  }

  absl::Status Call(const v1::RenewLeaseRequest& request = {},
                    v1::RenewLeaseResponse* response = nullptr) {
    grpc::ClientContext context;
    v1::RenewLeaseResponse ignored;
    return FromGrpcStatus(stub->RenewLease(
        &context, request, response != nullptr ? response : &ignored));
  }

  // Waits until a call has arrived after `before`, and returns it; it must not
  // be answered yet.
  grpc::CallbackServerContext* AwaitCallAfter(
      const grpc::CallbackServerContext* before) {
    while (service_.newest() == before) std::this_thread::yield();
    return service_.newest();
  }
  grpc::CallbackServerContext* newest() const { return service_.newest(); }

  std::shared_ptr<prometheus::Registry> registry =
      std::make_shared<prometheus::Registry>();

 private:
  class Service final : public v1::Registry::CallbackService {
   public:
    Service(UnaryHandler& handler, Body body)
        : handler_(handler), body_(std::move(body)) {}

    grpc::ServerUnaryReactor* RenewLease(
        grpc::CallbackServerContext* context,
        const v1::RenewLeaseRequest* request,
        v1::RenewLeaseResponse* response) override {
      newest_ = context;
      return handler_.Handle(
          context, *request, "RenewLease",
          [this, request, response](const CallContext& call) {
            return body_(*request, *response, call);
          });
    }

    // Of the call that came last; dangles once that is answered.
    grpc::CallbackServerContext* newest() const { return newest_; }

   private:
    UnaryHandler& handler_;
    const Body body_;
    std::atomic<grpc::CallbackServerContext*> newest_ = nullptr;
  };

  RequestMetrics metrics_{*registry};

 public:
  UnaryHandler handler;

 private:
  Service service_;

 public:
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<v1::Registry::Stub> stub;
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_SERVICES_RPC_RPC_TESTING_H_
