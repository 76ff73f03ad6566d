#include "services/remote_expert_group.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/rpc_server.h"
#include "services/worker_server.h"
#include "switchyard/v1/worker.grpc.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kMaxMessageBytes = int64_t{64} << 20;

absl::Time Soon() { return absl::Now() + absl::Seconds(30); }

// Runs one call of a group to its end.
template <typename Result, typename Start>
Result Await(Start start) {
  std::promise<Result> ended;
  start([&ended](Result result) { ended.set_value(std::move(result)); });
  return ended.get_future().get();
}

absl::Status AwaitAbort(RemoteExpertGroup& group, absl::Time deadline) {
  return Await<absl::Status>([&](auto done) {
    group.AbortStep({"m", 1, 0}, deadline, done);
  });
}

// Answers AbortStep with a status of the test's choice, and leaves Forward
// unanswered until it is cancelled.
class FakeWorker final : public v1::ExpertWorker::CallbackService {
 public:
  grpc::ServerUnaryReactor* AbortStep(
      grpc::CallbackServerContext* context,
      const v1::AbortStepRequest* /*request*/,
      v1::AbortStepResponse* /*response*/) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status(status, "why"));
    return reactor;
  }

  // Without a tensor: ill-formed.
  grpc::ServerUnaryReactor* Backward(
      grpc::CallbackServerContext* context,
      const v1::ExpertBackwardRequest* request,
      v1::ExpertBackwardResponse* /*response*/) override {
    backward_dtype = request->grad_y().dtype();
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* Forward(
      grpc::CallbackServerContext* /*context*/,
      const v1::ExpertForwardRequest* /*request*/,
      v1::ExpertForwardResponse* /*response*/) override {
    class Reactor final : public grpc::ServerUnaryReactor {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    auto* const reactor = new Reactor;
    forward_arrived.set_value();
    return reactor;
  }

  std::atomic<grpc::StatusCode> status = grpc::OK;
  std::atomic<v1::DType> backward_dtype = v1::DTYPE_UNSPECIFIED;
  std::promise<void> forward_arrived;
};

class FakeWorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(
        server_, RpcServer::Start("127.0.0.1:0", {}, {{"worker", &worker_}}));
    group_ = std::make_unique<RemoteExpertGroup>("w-1", server_->address(),
                                                 kMaxMessageBytes, calls_);
  }

  FakeWorker worker_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<OutboundCalls> calls_ = std::make_shared<OutboundCalls>();
  std::unique_ptr<RemoteExpertGroup> group_;
};

TEST_F(FakeWorkerTest, StatusesComeWithTheWorkersName) {
  EXPECT_OK(AwaitAbort(*group_, Soon()));
  worker_.status = grpc::ABORTED;
  EXPECT_THAT(
      AwaitAbort(*group_, Soon()),
      StatusIs(absl::StatusCode::kAborted,
               absl::StrCat("worker w-1 at ", server_->address(), ": why")));
}

TEST_F(FakeWorkerTest, WhatSaysNothingAboutTheRequestIsUnavailable) {
  for (const grpc::StatusCode code :
       {grpc::UNAVAILABLE, grpc::CANCELLED, grpc::UNKNOWN}) {
    worker_.status = code;
    EXPECT_THAT(AwaitAbort(*group_, Soon()),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("w-1")));
  }
}

TEST_F(FakeWorkerTest, RowsTravelAsBFloat16WhereThatLosesNothing) {
  for (const float last : {1.0f, 1.0f + 0x1p-20f}) {
    ExpertBackwardRequest request;
    request.grad_y = Tensor::FromSpan({1, 2}, std::vector<float>{0.5f, last});
    EXPECT_FALSE(Await<absl::StatusOr<ExpertBackwardResult>>([&](auto done) {
                   group_->Backward(request, Soon(), done);
                 }).ok());
    EXPECT_EQ(worker_.backward_dtype.load(),
              last == 1.0f ? v1::DTYPE_BFLOAT16 : v1::DTYPE_FLOAT32);
  }
}

TEST_F(FakeWorkerTest, AnIllFormedResponseIsInternal) {
  const ExpertBackwardRequest request;
  EXPECT_THAT(Await<absl::StatusOr<ExpertBackwardResult>>(
                  [&](auto done) { group_->Backward(request, Soon(), done); }),
              StatusIs(absl::StatusCode::kInternal,
                       HasSubstr("ill-formed response: grad_x.dtype: got")));
}

TEST_F(FakeWorkerTest, ACallEndsAtItsDeadline) {
  const ExpertForwardRequest request;
  EXPECT_THAT(
      Await<absl::StatusOr<ExpertForwardResult>>([&](auto done) {
        group_->Forward(request, absl::Now() + absl::Milliseconds(30), done);
      }),
      StatusIs(absl::StatusCode::kDeadlineExceeded, StartsWith("worker w-1")));
}

TEST_F(FakeWorkerTest, CancellingAllEndsCallsInProgressAndRefusesNewOnes) {
  std::promise<absl::Status> ended;
  const ExpertForwardRequest request;
  group_->Forward(request, Soon(),
                  [&](absl::StatusOr<ExpertForwardResult> result) {
                    ended.set_value(result.status());
                  });
  worker_.forward_arrived.get_future().wait();
  calls_->CancelAll();
  EXPECT_THAT(ended.get_future().get(),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_TRUE(calls_->WaitUntilEmpty(absl::Seconds(30)));
  EXPECT_THAT(AwaitAbort(*group_, Soon()),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("the gateway is shutting down")));
}

TEST_F(FakeWorkerTest, OutlivesItsGroupWhileACallIsInProgress) {
  std::promise<absl::Status> ended;
  const ExpertForwardRequest request;
  group_->Forward(request, Soon(),
                  [&](absl::StatusOr<ExpertForwardResult> result) {
                    ended.set_value(result.status());
                  });
  worker_.forward_arrived.get_future().wait();
  group_.reset();
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_THAT(ended.get_future().get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("w-1")));
}

TEST(RemoteExpertGroupTest, MayBeDroppedByItsOwnCallback) {
  // Nobody listens there, and no server of this process keeps gRPC's threads.
  auto calls = std::make_shared<OutboundCalls>();
  auto group = std::make_shared<RemoteExpertGroup>("w-1", "127.0.0.1:1",
                                                   kMaxMessageBytes, calls);
  RemoteExpertGroup& borrowed = *group;
  std::promise<absl::Status> ended;
  borrowed.AbortStep({"m", 1, 0}, Soon(),
                     [group = std::move(group), &ended](absl::Status status) {
                       ended.set_value(std::move(status));
                     });
  EXPECT_THAT(ended.get_future().get(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("w-1")));
  EXPECT_TRUE(calls->WaitUntilEmpty(absl::Seconds(30)));
}

LayerSpec Spec() {
  LayerSpec spec;
  spec.name = "m";
  spec.hidden_size = 4;
  spec.num_experts = 2;
  return spec;
}

class WorkerServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WorkerServerOptions options;
    options.worker.worker_id = "w-1";
    ASSERT_OK_AND_ASSIGN(server_, WorkerServer::Start(std::move(options)));
    group_ = std::make_unique<RemoteExpertGroup>("w-1", server_->address(),
                                                 kMaxMessageBytes);
  }

  std::unique_ptr<WorkerServer> server_;
  std::unique_ptr<RemoteExpertGroup> group_;
};

TEST_F(WorkerServerTest, ComputesWhatItsExpertsSay) {
  EXPECT_OK(Await<absl::Status>([&](auto done) {
    group_->LoadExperts({Spec(), {0, 1}, 1}, Soon(), done);
  }));
  // Expert 1 becomes the identity.
  WriteExpertsRequest write;
  write.layer = "m";
  write.slices.push_back({"experts.1.weight",
                          {4, 4},
                          0,
                          {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}});
  write.slices.push_back({"experts.1.bias", {4}, 0, {0, 0, 0, 0}});
  EXPECT_OK(Await<absl::Status>(
      [&](auto done) { group_->WriteExperts(write, Soon(), done); }));
  ExpertForwardRequest request;
  request.layer = "m";
  request.generation = 1;
  request.route_tokens = {0};
  request.route_experts = {1};
  request.route_weights = {0.5f};
  request.x = Tensor::FromSpan({1, 4}, {2.0f, 4.0f, 6.0f, 8.0f});
  ASSERT_OK_AND_ASSIGN(
      const ExpertForwardResult result,
      Await<absl::StatusOr<ExpertForwardResult>>(
          [&](auto done) { group_->Forward(request, Soon(), done); }));
  EXPECT_THAT(result.y.shape(), ElementsAre(1, 4));
  EXPECT_THAT(result.y.values(), ElementsAre(1.0f, 2.0f, 3.0f, 4.0f));
}

TEST_F(WorkerServerTest, ItsErrorsComeThrough) {
  ExpertForwardRequest request;
  request.layer = "unknown";
  request.x = Tensor::Zeros({1, 4});
  EXPECT_THAT(Await<absl::StatusOr<ExpertForwardResult>>(
                  [&](auto done) { group_->Forward(request, Soon(), done); }),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("w-1"), HasSubstr("unknown"))));
}

TEST_F(WorkerServerTest, ADeadWorkerIsUnavailableLongBeforeTheDeadline) {
  const std::string address = server_->address();
  server_.reset();
  EXPECT_THAT(AwaitAbort(*group_, absl::Now() + absl::Hours(1)),
              StatusIs(absl::StatusCode::kUnavailable,
                       StartsWith(absl::StrCat("worker w-1 at ", address))));
}

}  // namespace
}  // namespace switchyard
