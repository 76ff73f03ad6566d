// Gateway.Stream, over loopback.
#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/gateway_stream.h"
#include "common/base/status_testing.h"
#include "services/rpc/status_conversion.h"
#include "services/servers_testing.h"
#include "switchyard/v1/gateway.grpc.pb.h"

namespace switchyard {
namespace {

using ::switchyard::testing::AwaitRegistered;
using ::switchyard::testing::EvalRequest;
using ::switchyard::testing::HungWorkerTest;
using ::switchyard::testing::StartGateway;
using ::switchyard::testing::StartWorker;
using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

// An answer to wait for.
template <typename Result>
struct Answer {
  GatewayStream::Done<Result> Done() {
    return [promise = promise](absl::StatusOr<Result> result) {
      promise->set_value(std::move(result));
    };
  }
  absl::StatusOr<Result> Get() { return future.get(); }

  std::shared_ptr<std::promise<absl::StatusOr<Result>>> promise =
      std::make_shared<std::promise<absl::StatusOr<Result>>>();
  std::future<absl::StatusOr<Result>> future = promise->get_future();
};

class GatewayStreamTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kMicrobatches = 6;

  void SetUp() override {
    gateway_ = StartGateway();
    for (const char* id : {"w-0", "w-1"}) {
      workers_.push_back(StartWorker(*gateway_, id));
      AwaitRegistered(*workers_.back());
    }
    client_ = std::make_unique<GatewayClient>(gateway_->address());
    for (const char* name : {"unary", "stream"}) {
      LayerSpec spec = testing::Spec();
      spec.name = name;
      spec.gate.k = 2;
      spec.gate.noise_policy = NoisePolicy::kRSample;
      ASSERT_OK(client_->CreateLayer(spec));
    }
  }

  static ForwardRequest Forward(const std::string& layer, uint32_t microbatch) {
    ForwardRequest request = EvalRequest();
    request.layer = layer;
    request.mode = Mode::kTrain;
    request.microbatch = microbatch;
    for (float& x : request.x.values()) x += static_cast<float>(microbatch);
    return request;
  }
  static BackwardRequest Backward(const std::string& layer,
                                  const ForwardResult& forward) {
    BackwardRequest request;
    request.layer = layer;
    request.step = forward.step;
    request.microbatch = forward.microbatch;
    request.grad_aux_loss = 0.01f;
    request.grad_y = forward.y.Clone();
    return request;
  }
  std::vector<float> Parameters(const std::string& layer) {
    ReadParametersRequest request;
    request.layer = layer;
    std::vector<float> all;
    const auto slices = client_->ReadAllParameters(request);
    EXPECT_OK(slices);
    for (const ParameterSlice& slice : *slices) {
      all.insert(all.end(), slice.values.begin(), slice.values.end());
    }
    return all;
  }

  std::unique_ptr<GatewayServer> gateway_;
  std::vector<std::unique_ptr<WorkerServer>> workers_;
  std::unique_ptr<GatewayClient> client_;
};

// Two steps of six microbatches: one call after the other on the one side, as
// many at once as there are on the other.
TEST_F(GatewayStreamTest, TrainsAsUnaryCallsDoToTheBit) {
  GatewayStream stream(gateway_->address());
  for (uint64_t step = 0; step < 2; ++step) {
    std::vector<ForwardResult> unary_forwards;
    std::vector<BackwardResult> unary_backwards;
    for (uint32_t m = 0; m < kMicrobatches; ++m) {
      ASSERT_OK_AND_ASSIGN(unary_forwards.emplace_back(),
                           client_->Forward(Forward("unary", m)));
    }
    for (uint32_t m = 0; m < kMicrobatches; ++m) {
      ASSERT_OK_AND_ASSIGN(
          unary_backwards.emplace_back(),
          client_->Backward(Backward("unary", unary_forwards[m])));
    }
    const StepRequest unary_step = {
        .layer = "unary", .step = step, .learning_rate = 0.1f};
    ASSERT_OK_AND_ASSIGN(const StepResult unary_result,
                         client_->Step(unary_step));

    std::vector<Answer<ForwardResult>> forwards(kMicrobatches);
    std::vector<Answer<BackwardResult>> backwards(kMicrobatches);
    Answer<StepResult> step_answer;
    for (uint32_t m = 0; m < kMicrobatches; ++m) {
      ASSERT_OK(stream.Forward(Forward("stream", m), forwards[m].Done()));
    }
    for (uint32_t m = 0; m < kMicrobatches; ++m) {
      ASSERT_OK_AND_ASSIGN(const ForwardResult forward, forwards[m].Get());
      EXPECT_EQ(forward.microbatch, m);
      EXPECT_EQ(forward.y.values(), unary_forwards[m].y.values());
      ASSERT_OK(
          stream.Backward(Backward("stream", forward), backwards[m].Done()));
    }
    // Sent before the Backwards are answered.
    ASSERT_OK(
        stream.Step({.layer = "stream", .step = step, .learning_rate = 0.1f},
                    step_answer.Done()));
    for (uint32_t m = 0; m < kMicrobatches; ++m) {
      ASSERT_OK_AND_ASSIGN(const BackwardResult backward, backwards[m].Get());
      EXPECT_EQ(backward.grad_x.values(), unary_backwards[m].grad_x.values());
    }
    ASSERT_OK_AND_ASSIGN(const StepResult result, step_answer.Get());
    EXPECT_EQ(result.step, step + 1);
    EXPECT_EQ(result.grad_norm, unary_result.grad_norm);
  }
  EXPECT_EQ(Parameters("stream"), Parameters("unary"));
  EXPECT_OK(stream.Finish());
}

TEST_F(GatewayStreamTest, ARequestThatFailsLeavesTheStreamAsItIs) {
  GatewayStream stream(gateway_->address());
  Answer<ForwardResult> unknown;
  Answer<ForwardResult> known;
  ASSERT_OK(stream.Forward(Forward("nowhere", 0), unknown.Done()));
  ASSERT_OK(stream.Forward(Forward("stream", 0), known.Done()));
  EXPECT_THAT(unknown.Get(), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_OK(known.Get());
  EXPECT_OK(stream.Finish());
  EXPECT_THAT(stream.Forward(Forward("stream", 1), known.Done()),
              StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_F(GatewayStreamTest, WhatWasSentIsAnsweredThoughNothingMoreComes) {
  GatewayStream stream(gateway_->address());
  std::vector<Answer<ForwardResult>> answers(20);
  for (uint32_t m = 0; m < answers.size(); ++m) {
    ASSERT_OK(stream.Forward(Forward("stream", m), answers[m].Done()));
  }
  EXPECT_OK(stream.Finish());
  for (auto& answer : answers) EXPECT_OK(answer.Get());
}

TEST_F(GatewayStreamTest, AGatewayThatShutsDownEndsItsStreams) {
  GatewayStream stream(gateway_->address());
  Answer<ForwardResult> answer;
  ASSERT_OK(stream.Forward(Forward("stream", 0), answer.Done()));
  EXPECT_OK(answer.Get());
  gateway_->Shutdown(absl::Hours(1));
  EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST_F(GatewayStreamTest, BadMessagesAreRefused) {
  const auto stub =
      v1::Gateway::NewStub(MakeChannel(gateway_->address(), 1 << 20));
  grpc::ClientContext context;
  const auto stream = stub->Stream(&context);
  v1::StreamRequest request;
  request.set_id(4);
  v1::StreamResponse response;
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.id(), 4u);
  EXPECT_EQ(response.error().code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(response.error().message(), HasSubstr("request: not set"));
  request.mutable_forward()->set_layer("stream");
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error().code(), grpc::INVALID_ARGUMENT);
  ASSERT_TRUE(stream->WritesDone());
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GatewayStreamTest, BytesThatAreNoMessageEndTheStream) {
  grpc::GenericStub stub(MakeChannel(gateway_->address(), 1 << 20));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto await = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call =
      stub.PrepareCall(&context, "/switchyard.v1.Gateway/Stream", &queue);
  call->StartCall(nullptr);
  ASSERT_TRUE(await());
  const grpc::Slice garbage("\xff\xff");
  call->Write(grpc::ByteBuffer(&garbage, 1), nullptr);
  ASSERT_TRUE(await());
  grpc::Status status;
  call->Finish(&status, nullptr);
  ASSERT_TRUE(await());
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
}

class OneRequestStreamTest : public HungWorkerTest {
 protected:
  OneRequestStreamTest() { limits_.max_stream_requests = 1; }
};

// The worker would say so (and throw) if a second Forward came to it.
TEST_F(OneRequestStreamTest, ReadsNoFurtherThanItsLimitAndEndsWithItsClient) {
  auto stream = std::make_unique<GatewayStream>(
      gateway_->address(), GatewayClientOptions{.timeout = absl::Hours(1)});
  std::vector<Answer<ForwardResult>> answers(3);
  for (auto& answer : answers) {
    ASSERT_OK(stream->Forward(EvalRequest(), answer.Done()));
  }
  service_.forward_arrived.get_future().wait();
  stream.reset();
  service_.forward_cancelled.get_future().wait();
  for (auto& answer : answers) {
    EXPECT_THAT(answer.Get(), StatusIs(absl::StatusCode::kCancelled, _));
  }
  ExpectStillServing();
  gateway_->Shutdown(absl::Hours(1));
}

TEST_F(HungWorkerTest, ARequestsTimeoutEndsItAndNotTheStream) {
  GatewayStream stream(gateway_->address(),
                       {.timeout = absl::Milliseconds(200)});
  Answer<ForwardResult> answer;
  ASSERT_OK(stream.Forward(EvalRequest(), answer.Done()));
  EXPECT_THAT(answer.Get(), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  service_.forward_cancelled.get_future().wait();
  EXPECT_OK(stream.Finish());
}

TEST_F(HungWorkerTest, MoreThanMayBeInProgressIsRefusedByTheClient) {
  GatewayStream stream(gateway_->address(), {.timeout = absl::Hours(1)},
                       /*max_in_progress=*/1);
  Answer<ForwardResult> answer;
  ASSERT_OK(stream.Forward(EvalRequest(), answer.Done()));
  EXPECT_THAT(
      stream.Forward(EvalRequest(), answer.Done()),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 1")));
  service_.forward_arrived.get_future().wait();
}

}  // namespace
}  // namespace switchyard
