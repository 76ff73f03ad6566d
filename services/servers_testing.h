// Servers for tests: gateway and workers in this process, over loopback.
#ifndef SWITCHYARD_SERVICES_SERVERS_TESTING_H_
#define SWITCHYARD_SERVICES_SERVERS_TESTING_H_

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "client/gateway_client.h"
#include "common/base/status_testing.h"
#include "services/gateway_server.h"
#include "services/rpc/channel.h"
#include "services/rpc/rpc_server.h"
#include "services/worker_server.h"
#include "switchyard/v1/registry.grpc.pb.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard::testing {

inline std::unique_ptr<GatewayServer> StartGateway(
    const std::string& address = "127.0.0.1:0",
    absl::Duration lease_duration = absl::Seconds(10),
    const ServerLimits& limits = {}) {
  GatewayServerOptions options;
  options.limits = limits;
  options.listen_address = address;
  options.gateway.lease_duration = lease_duration;
  auto server = GatewayServer::Start(std::move(options));
  EXPECT_OK(server);
  return *std::move(server);
}

inline std::unique_ptr<WorkerServer> StartWorker(const GatewayServer& gateway,
                                                 const std::string& worker_id) {
  WorkerServerOptions options;
  options.gateway_address = gateway.address();
  options.worker.worker_id = worker_id;
  auto server = WorkerServer::Start(std::move(options));
  EXPECT_OK(server);
  return *std::move(server);
}

inline void AwaitRegistered(const WorkerServer& worker,
                            bool registered = true) {
  while (worker.registered() != registered) std::this_thread::yield();
}

inline LayerSpec Spec() {
  LayerSpec spec;
  spec.name = "m";
  spec.hidden_size = 4;
  spec.num_experts = 4;
  spec.optimizer = SgdSpec{};
  return spec;
}

inline ForwardRequest EvalRequest() {
  ForwardRequest request;
  request.layer = "m";
  request.x = Tensor::FromSpan({1, 2, 4}, {1, 2, 3, 4, -1, -2, -3, -4});
  return request;
}

// Loads experts, and then never answers a Forward.
class HungWorker final : public v1::ExpertWorker::CallbackService {
 public:
  grpc::ServerUnaryReactor* LoadExperts(
      grpc::CallbackServerContext* context,
      const v1::LoadExpertsRequest* /*request*/,
      v1::LoadExpertsResponse* /*response*/) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerUnaryReactor* Forward(
      grpc::CallbackServerContext* /*context*/,
      const v1::ExpertForwardRequest* /*request*/,
      v1::ExpertForwardResponse* /*response*/) override {
    class Reactor final : public grpc::ServerUnaryReactor {
     public:
      explicit Reactor(std::promise<void>& cancelled) : cancelled_(cancelled) {}
      void OnCancel() override {
        cancelled_.set_value();
        Finish(grpc::Status::CANCELLED);
      }
      void OnDone() override { delete this; }

     private:
      std::promise<void>& cancelled_;
    };
    auto* const reactor = new Reactor(forward_cancelled);
    forward_arrived.set_value();
    return reactor;
  }

  std::promise<void> forward_arrived;
  std::promise<void> forward_cancelled;
};

// A gateway that knows a worker which hangs in Forward.
class HungWorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(
        hung_, RpcServer::Start("127.0.0.1:0", {}, {{"w", &service_}}));
    gateway_ = StartGateway("127.0.0.1:0", absl::Hours(1), limits_);
    const auto stub =
        v1::Registry::NewStub(MakeChannel(gateway_->address(), 1 << 20));
    v1::RegisterWorkerRequest request;
    request.set_worker_id("w-0");
    request.set_address(hung_->address());
    request.set_incarnation(1);
    v1::RegisterWorkerResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub->RegisterWorker(&context, request, &response).ok());
    GatewayClient client(gateway_->address(), {.timeout = absl::Hours(1)});
    ASSERT_OK(client.CreateLayer(Spec()));
  }

  absl::Status Forward(absl::Duration timeout) {
    GatewayClient client(gateway_->address(), {.timeout = timeout});
    return client.Forward(EvalRequest()).status();
  }
  // Cancelling is no reason to take the worker for lost.
  void ExpectStillServing() {
    GatewayClient client(gateway_->address());
    ASSERT_OK_AND_ASSIGN(const LayerStatus layer, client.GetLayer("m"));
    EXPECT_EQ(layer.state, LayerState::kServing) << layer.state_reason;
  }

  ServerLimits limits_;
  HungWorker service_;
  std::unique_ptr<RpcServer> hung_;
  std::unique_ptr<GatewayServer> gateway_;
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_SERVICES_SERVERS_TESTING_H_
