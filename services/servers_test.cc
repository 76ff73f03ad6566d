// Gateway and workers as processes run them, in this one, over loopback.
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/gateway_client.h"
#include "common/base/status_testing.h"
#include "common/tensor/float_formats.h"
#include "services/gateway_server.h"
#include "services/rpc/address.h"
#include "services/rpc/channel.h"
#include "services/rpc/rpc_server.h"
#include "services/servers_testing.h"
#include "services/wire/layer_call_codec.h"
#include "services/wire/tensor_codec.h"
#include "services/worker_server.h"
#include "switchyard/v1/gateway.grpc.pb.h"
#include "switchyard/v1/registry.grpc.pb.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::AwaitRegistered;
using ::switchyard::testing::EvalRequest;
using ::switchyard::testing::Spec;
using ::switchyard::testing::StartGateway;
using ::switchyard::testing::StartWorker;
using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// One GET with a socket: the page is for curl and Prometheus.
std::string Get(const std::string& address, const std::string& path) {
  const absl::StatusOr<Address> parsed = ParseAddress(address, "address");
  EXPECT_OK(parsed);
  addrinfo* found = nullptr;
  EXPECT_EQ(getaddrinfo(parsed->host.c_str(),
                        absl::StrCat(parsed->port).c_str(), nullptr, &found),
            0);
  const int fd = socket(found->ai_family, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, found->ai_addr, found->ai_addrlen), 0);
  freeaddrinfo(found);
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
  EXPECT_EQ(send(fd, request.data(), request.size(), 0),
            static_cast<ssize_t>(request.size()));
  std::string response;
  char buffer[4096];
  for (ssize_t n = 1; n > 0;) {
    n = recv(fd, buffer, sizeof(buffer), 0);
    if (n > 0) response.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return response;
}

TEST(ServersTest, ServeAndTrainALayer) {
  auto gateway = StartGateway();
  auto w0 = StartWorker(*gateway, "w-0");
  auto w1 = StartWorker(*gateway, "w-1");
  AwaitRegistered(*w0);
  AwaitRegistered(*w1);
  GatewayClient client(gateway->address());
  ASSERT_OK_AND_ASSIGN(const LayerStatus layer, client.CreateLayer(Spec()));
  EXPECT_EQ(layer.state, LayerState::kServing);
  EXPECT_THAT(layer.placement.expert_workers,
              ElementsAre(SizeIs(1), SizeIs(1), SizeIs(1), SizeIs(1)));

  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       client.Forward(EvalRequest()));
  EXPECT_THAT(forward.y.shape(), ElementsAre(1, 2, 4));

  TrainStepRequest train;
  train.layer = "m";
  train.learning_rate = 0.1f;
  train.return_grad_x = true;
  train.head = CrossEntropyHead{{0, 3}};
  train.x = EvalRequest().x.Clone();
  ASSERT_OK_AND_ASSIGN(const TrainStepResult step, client.TrainStep(train));
  EXPECT_EQ(step.step, 1u);
  EXPECT_GT(step.grad_norm, 0);
  ASSERT_TRUE(step.grad_x.has_value());
  EXPECT_THAT(step.grad_x->shape(), ElementsAre(1, 2, 4));

  ReadParametersRequest read;
  read.layer = "m";
  read.max_page_bytes = 16;
  ASSERT_OK_AND_ASSIGN(const std::vector<ParameterSlice> slices,
                       client.ReadAllParameters(read));
  size_t num_values = 0;
  for (const ParameterSlice& slice : slices) num_values += slice.values.size();
  EXPECT_EQ(num_values, 4u * 4 + 4 * (4 * 4 + 4));
  EXPECT_OK(client.DeleteLayer("m"));
  EXPECT_THAT(client.GetLayer("m"), StatusIs(absl::StatusCode::kNotFound, _));
}

TEST(ServersTest, AnswerInTheDtypeOfTheRequest) {
  auto gateway = StartGateway();
  auto worker = StartWorker(*gateway, "w-0");
  AwaitRegistered(*worker);
  GatewayClient client(gateway->address());
  ASSERT_OK(client.CreateLayer(Spec()));
  ASSERT_OK_AND_ASSIGN(const ForwardResult exact,
                       client.Forward(EvalRequest()));
  GatewayClient narrow(gateway->address(), {.bfloat16_activations = true});
  ASSERT_OK_AND_ASSIGN(const ForwardResult rounded,
                       narrow.Forward(EvalRequest()));
  // x has no more than 8 bits: the same y, rounded on its way back.
  for (size_t i = 0; i < exact.y.values().size(); ++i) {
    EXPECT_EQ(rounded.y.values()[i],
              FromBFloat16(ToBFloat16(exact.y.values()[i])));
  }
  EXPECT_NE(rounded.y.values(), exact.y.values());
}

TEST(ServersTest, TellWhereAWorkerListensAndThatItLeft) {
  auto gateway = StartGateway();
  auto worker = StartWorker(*gateway, "w-0");
  AwaitRegistered(*worker);
  GatewayClient client(gateway->address());
  ASSERT_OK_AND_ASSIGN(WorkerList list, client.ListWorkers());
  ASSERT_THAT(list.workers, SizeIs(1));
  EXPECT_EQ(list.workers[0].state, WorkerState::kUp);
  EXPECT_EQ(list.workers[0].address, worker->address());
  EXPECT_EQ(list.workers[0].metrics_address, worker->metrics_address());
  worker->Shutdown(absl::Seconds(10));
  worker->Shutdown(absl::Seconds(10));
  EXPECT_FALSE(worker->registered());
  ASSERT_OK_AND_ASSIGN(list, client.ListWorkers());
  EXPECT_EQ(list.workers[0].state, WorkerState::kLeft);
}

TEST(ServersTest, AWorkerComesBackEmptyWhenTheGatewayHasStartedAnew) {
  auto gateway = StartGateway("127.0.0.1:0", absl::Milliseconds(300));
  auto worker = StartWorker(*gateway, "w-0");
  AwaitRegistered(*worker);
  const std::string address = gateway->address();
  ASSERT_OK(GatewayClient(address).CreateLayer(Spec()));
  gateway.reset();
  AwaitRegistered(*worker, false);
  gateway = StartGateway(address);
  AwaitRegistered(*worker);
  // Its experts of the former gateway's "m" are gone, or this would fail.
  EXPECT_OK(GatewayClient(address).CreateLayer(Spec()));
}

TEST(ServersTest, ALeaseThatIsNotRenewedRunsOut) {
  auto gateway = StartGateway("127.0.0.1:0", absl::Milliseconds(50));
  const auto stub =
      v1::Registry::NewStub(MakeChannel(gateway->address(), 1 << 20));
  v1::RegisterWorkerRequest request;
  request.set_worker_id("w-0");
  request.set_address("127.0.0.1:1");
  request.set_incarnation(1);
  v1::RegisterWorkerResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->RegisterWorker(&context, request, &response).ok());
  EXPECT_EQ(response.lease_duration_ms(), 50);
  GatewayClient client(gateway->address());
  WorkerState state = WorkerState::kUp;
  while (state == WorkerState::kUp) {
    ASSERT_OK_AND_ASSIGN(const WorkerList list, client.ListWorkers());
    ASSERT_THAT(list.workers, SizeIs(1));
    state = list.workers[0].state;
  }
  EXPECT_EQ(state, WorkerState::kLost);
}

TEST(ServersTest, RefuseAWorkerThatNobodyCouldDial) {
  auto gateway = StartGateway();
  const auto stub =
      v1::Registry::NewStub(MakeChannel(gateway->address(), 1 << 20));
  v1::RegisterWorkerRequest request;
  request.set_worker_id("w-0");
  request.set_address("xds:///somewhere");
  request.set_incarnation(1);
  v1::RegisterWorkerResponse response;
  grpc::ClientContext context;
  const grpc::Status status =
      stub->RegisterWorker(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "address: got 'xds:///somewhere', expected host:port or "
            "unix:/path");
}

TEST(ServersTest, MetricsPagesCountCalls) {
  auto gateway = StartGateway();
  auto worker = StartWorker(*gateway, "w-0");
  AwaitRegistered(*worker);
  GatewayClient client(gateway->address());
  EXPECT_THAT(client.GetLayer("none"),
              StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(
      Get(gateway->metrics_address(), "/metrics"),
      AllOf(HasSubstr("200 OK"),
            HasSubstr("switchyard_requests_total{code=\"NOT_FOUND\",method="
                      "\"GetLayer\"} 1"),
            HasSubstr("switchyard_request_seconds_count{method=\"GetLayer\"}"),
            HasSubstr("switchyard_requests_total{code=\"OK\",method="
                      "\"RegisterWorker\"} 1")));
  ASSERT_OK(client.CreateLayer(Spec()));
  EXPECT_THAT(Get(worker->metrics_address(), "/metrics"),
              HasSubstr("switchyard_requests_total{code=\"OK\",method="
                        "\"LoadExperts\"} 1"));
}

TEST(ServersTest, SayWhyTheyCannotStart) {
  auto gateway = StartGateway();
  GatewayServerOptions options;
  options.listen_address = gateway->address();
  EXPECT_THAT(
      GatewayServer::Start(options),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr(gateway->address())));
  options.listen_address = "nowhere";
  EXPECT_THAT(GatewayServer::Start(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("listen_address: got 'nowhere'")));
  options.listen_address = "127.0.0.1:0";
  options.metrics_address = gateway->metrics_address();
  EXPECT_THAT(GatewayServer::Start(options),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("metrics")));
  WorkerServerOptions worker;
  worker.worker.worker_id = "w-0";
  worker.gateway_address = "127.0.0.1:0";
  EXPECT_THAT(WorkerServer::Start(worker),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("gateway_address: got '127.0.0.1:0'")));
  worker.gateway_address.clear();
  worker.advertise_address = "a";
  EXPECT_THAT(WorkerServer::Start(worker),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("advertise_address: got 'a'")));
}

TEST(ServersTest, TalkOverUnixSockets) {
  const std::string prefix =
      absl::StrCat("unix:", ::testing::TempDir(), "/servers_test.", getpid());
  auto gateway = StartGateway(absl::StrCat(prefix, ".gateway"));
  WorkerServerOptions options;
  options.listen_address = absl::StrCat(prefix, ".worker");
  options.gateway_address = gateway->address();
  options.metrics_address.clear();
  options.worker.worker_id = "w-0";
  ASSERT_OK_AND_ASSIGN(auto worker, WorkerServer::Start(options));
  EXPECT_EQ(worker->metrics_address(), "");
  AwaitRegistered(*worker);
  GatewayClient client(gateway->address());
  ASSERT_OK(client.CreateLayer(Spec()));
  EXPECT_OK(client.Forward(EvalRequest()));
}

using HungWorkerTest = ::switchyard::testing::HungWorkerTest;

TEST_F(HungWorkerTest, AGatewayShutsDownThoughAWorkerHangs) {
  std::future<absl::Status> forward =
      std::async(std::launch::async, [&] { return Forward(absl::Hours(1)); });
  service_.forward_arrived.get_future().wait();
  // Without cancelling, this would take the hour.
  gateway_->Shutdown(absl::Milliseconds(50));
  EXPECT_THAT(forward.get(), StatusIs(absl::StatusCode::kUnavailable, _));
  gateway_->Shutdown(absl::Milliseconds(50));
}

TEST_F(HungWorkerTest, AClientsCancellationReachesTheWorker) {
  const auto stub =
      v1::Gateway::NewStub(MakeChannel(gateway_->address(), 1 << 20));
  grpc::ClientContext context;
  std::future<grpc::StatusCode> forward = std::async(std::launch::async, [&] {
    v1::ForwardResponse response;
    return stub
        ->Forward(&context, wire::Encode(EvalRequest(), v1::DTYPE_FLOAT32),
                  &response)
        .error_code();
  });
  service_.forward_arrived.get_future().wait();
  context.TryCancel();
  EXPECT_EQ(forward.get(), grpc::CANCELLED);
  service_.forward_cancelled.get_future().wait();
  ExpectStillServing();
}

TEST_F(HungWorkerTest, AClientsDeadlineReachesTheWorker) {
  EXPECT_THAT(Forward(absl::Milliseconds(300)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  service_.forward_cancelled.get_future().wait();
  ExpectStillServing();
}

// 137 GFLOP, of which a worker that is told does a small part.
TEST(ServersTest, AWorkerStopsComputingForAClientThatHasLeft) {
  auto gateway = StartGateway();
  auto worker = StartWorker(*gateway, "w-0");
  AwaitRegistered(*worker);
  LayerSpec spec = Spec();
  spec.hidden_size = 2048;
  spec.gate.k = 4;
  ASSERT_OK(GatewayClient(gateway->address()).CreateLayer(spec));
  ForwardRequest request = EvalRequest();
  request.x = Tensor::Zeros({4096, 2048});
  const auto stub =
      v1::Gateway::NewStub(MakeChannel(gateway->address(), 1 << 26));
  grpc::ClientContext context;
  std::future<grpc::StatusCode> forward = std::async(std::launch::async, [&] {
    v1::ForwardResponse response;
    return stub
        ->Forward(&context, wire::Encode(request, v1::DTYPE_FLOAT32), &response)
        .error_code();
  });
  while (!absl::StrContains(Get(worker->metrics_address(), "/metrics"),
                            "requests_pending{method=\"Forward\"} 1")) {
    std::this_thread::yield();
  }
  context.TryCancel();
  EXPECT_EQ(forward.get(), grpc::CANCELLED);
  std::string page;
  do {
    page = Get(worker->metrics_address(), "/metrics");
    // Of all figures only that of the code has two labels.
  } while (!absl::StrContains(page, ",method=\"Forward\"} 1"));
  EXPECT_TRUE(absl::StrContains(
      page, "requests_total{code=\"CANCELLED\",method=\"Forward\"} 1"))
      << page;
}

}  // namespace
}  // namespace switchyard
