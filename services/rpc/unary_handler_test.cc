#include "services/rpc/unary_handler.h"

#include <prometheus/text_serializer.h>

#include <atomic>
#include <future>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "services/rpc/drain.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/rpc_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::FixedClock;
using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TestServer;
using ::testing::_;
using ::testing::HasSubstr;

// A body that tells when it runs and then waits to be released.
class Gate {
 public:
  absl::Status Pass() {
    ++num_passed;
    arrived_.set_value();
    released_.get_future().wait();
    return absl::OkStatus();
  }
  void AwaitArrival() { arrived_.get_future().wait(); }
  void Release() { released_.set_value(); }

  std::atomic<int> num_passed = 0;

 private:
  std::promise<void> arrived_;
  std::promise<void> released_;
};

// A call in the background, from its sending to its status.
class AsyncCall {
 public:
  explicit AsyncCall(TestServer& server,
                     absl::Time deadline = absl::InfiniteFuture()) {
    context.set_deadline(absl::ToChronoTime(deadline));
    server.stub->async()->RenewLease(
        &context, &request_, &response_, [this](const grpc::Status& status) {
          status_.set_value(FromGrpcStatus(status));
        });
  }
  absl::Status Wait() { return status_.get_future().get(); }

  grpc::ClientContext context;

 private:
  v1::RenewLeaseRequest request_;
  v1::RenewLeaseResponse response_;
  std::promise<absl::Status> status_;
};

// The metrics page.
std::string Metrics(TestServer& server) {
  return prometheus::TextSerializer().Serialize(server.registry->Collect());
}

ServerLimits OneAtATime() {
  ServerLimits limits;
  limits.num_request_threads = 1;
  limits.max_queued_requests = 1;
  return limits;
}

TEST(UnaryHandlerTest, AnswersWithWhatTheBodyMade) {
  TestServer server({}, [](const v1::RenewLeaseRequest& request,
                           v1::RenewLeaseResponse& response, const auto&) {
    response.set_lease_duration_ms(static_cast<int64_t>(request.incarnation()) *
                                   2);
    return absl::OkStatus();
  });
  v1::RenewLeaseRequest request;
  request.set_incarnation(21);
  v1::RenewLeaseResponse response;
  EXPECT_OK(server.Call(request, &response));
  EXPECT_EQ(response.lease_duration_ms(), 42);
}

TEST(UnaryHandlerTest, CountsCallsByMethodAndCode) {
  TestServer server({}, [](const v1::RenewLeaseRequest& request, auto&, auto&) {
    return request.incarnation() == 0 ? absl::NotFoundError("no lease")
                                      : absl::OkStatus();
  });
  EXPECT_THAT(server.Call(), StatusIs(absl::StatusCode::kNotFound, "no lease"));
  EXPECT_THAT(server.Call(), StatusIs(absl::StatusCode::kNotFound, _));
  v1::RenewLeaseRequest request;
  request.set_incarnation(1);
  EXPECT_OK(server.Call(request));
  const std::string page = Metrics(server);
  EXPECT_THAT(page, HasSubstr("switchyard_requests_total{code=\"NOT_FOUND\","
                              "method=\"RenewLease\"} 2"));
  EXPECT_THAT(page, HasSubstr("switchyard_requests_total{code=\"OK\","
                              "method=\"RenewLease\"} 1"));
  EXPECT_THAT(page, HasSubstr("switchyard_request_seconds_count{"
                              "method=\"RenewLease\"} 3"));
}

TEST(UnaryHandlerTest, RefusesCallsOverItsQueue) {
  Gate gate;
  TestServer server(OneAtATime(), [&](auto&, auto&, auto&) {
    return gate.num_passed == 0 ? gate.Pass() : absl::OkStatus();
  });
  AsyncCall running(server);
  gate.AwaitArrival();
  // One more may wait; which of these two it is, nobody knows.
  AsyncCall first(server);
  AsyncCall second(server);
  std::future<absl::Status> either[2] = {
      std::async(std::launch::async, [&] { return first.Wait(); }),
      std::async(std::launch::async, [&] { return second.Wait(); })};
  while (!absl::StrContains(Metrics(server), "RESOURCE_EXHAUSTED")) {
    std::this_thread::yield();
  }
  gate.Release();
  EXPECT_OK(running.Wait());
  const absl::Status statuses[2] = {either[0].get(), either[1].get()};
  EXPECT_THAT(statuses,
              ::testing::UnorderedElementsAre(
                  testing::IsOk(),
                  StatusIs(absl::StatusCode::kResourceExhausted,
                           "queue of test requests is full (1 waiting, at "
                           "most 1)")));
}

TEST(UnaryHandlerTest, AClientPushesOutWhatAnotherHasTooMuchOf) {
  Gate gate;
  ServerLimits limits = OneAtATime();
  limits.max_queued_requests = 2;
  TestServer server(limits, [&](auto&, auto&, auto&) {
    return gate.num_passed == 0 ? gate.Pass() : absl::OkStatus();
  });
  AsyncCall running(server);
  gate.AwaitArrival();
  AsyncCall first(server);
  AsyncCall second(server);
  while (
      !absl::StrContains(Metrics(server), "pending{method=\"RenewLease\"} 3")) {
    std::this_thread::yield();
  }
  const auto other = v1::Registry::NewStub(
      MakeChannel(server.server->address(), int64_t{64} << 20));
  std::future<absl::Status> light = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    context.AddMetadata(kClientNameMetadata, "light");
    v1::RenewLeaseResponse response;
    return FromGrpcStatus(other->RenewLease(&context, {}, &response));
  });
  while (!absl::StrContains(Metrics(server), "RESOURCE_EXHAUSTED")) {
    std::this_thread::yield();
  }
  gate.Release();
  EXPECT_OK(light.get());
  EXPECT_OK(running.Wait());
  const absl::Status heavy[2] = {first.Wait(), second.Wait()};
  EXPECT_THAT(
      heavy, ::testing::UnorderedElementsAre(
                 testing::IsOk(), StatusIs(absl::StatusCode::kResourceExhausted,
                                           HasSubstr("more than its share"))));
}

// 63 clients that ask once at a time get their answers while one keeps the
// queue as full as it may.
TEST(UnaryHandlerTest, OneHeavyClientDoesNotStarveManyLightOnes) {
  constexpr int kLightClients = 63;
  constexpr int kCallsEach = 20;
  ServerLimits limits;
  limits.num_request_threads = 1;
  limits.max_queued_requests = 128;
  std::atomic<int> heavy_served = 0;
  TestServer server(limits,
                    [&](const v1::RenewLeaseRequest& request, auto&, auto&) {
                      if (request.incarnation() == 1) ++heavy_served;
                      return absl::OkStatus();
                    });
  std::atomic<bool> stop = false;
  const auto call_as = [&](v1::Registry::Stub& stub, const std::string& name,
                           const v1::RenewLeaseRequest& request) {
    grpc::ClientContext context;
    context.AddMetadata(kClientNameMetadata, name);
    v1::RenewLeaseResponse response;
    return FromGrpcStatus(stub.RenewLease(&context, request, &response));
  };
  v1::RenewLeaseRequest large;
  large.set_incarnation(1);
  large.set_worker_id(std::string(20'000, 'w'));
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&] {
      while (!stop) call_as(*server.stub, "heavy", large).IgnoreError();
    });
  }
  std::atomic<int> answers = 0;
  std::vector<std::thread> light;
  for (int c = 0; c < kLightClients; ++c) {
    light.emplace_back([&, c] {
      for (int i = 0; i < kCallsEach; ++i) {
        if (call_as(*server.stub, absl::StrCat("light-", c), {}).ok())
          ++answers;
      }
    });
  }
  for (std::thread& thread : light) thread.join();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answers, kLightClients * kCallsEach) << "none was refused";
  EXPECT_GT(heavy_served, 0);
  EXPECT_TRUE(server.handler.WaitUntilIdle(absl::Seconds(30)));
}

TEST(UnaryHandlerTest, RefusesBytesOverItsBudgetUnlessAlone) {
  Gate gate;
  ServerLimits limits;
  limits.max_pending_request_bytes = 1000;
  TestServer server(
      limits, [&](const v1::RenewLeaseRequest& request, auto&, auto&) {
        return request.worker_id().empty() ? gate.Pass() : absl::OkStatus();
      });
  v1::RenewLeaseRequest large;
  large.set_worker_id(std::string(2000, 'w'));
  EXPECT_OK(server.Call(large));
  // Its bytes count until the answer is sent: the client may know earlier.
  EXPECT_TRUE(server.handler.WaitUntilIdle(absl::Seconds(30)));
  v1::RenewLeaseRequest blocking;
  blocking.set_incarnation(1);
  std::future<absl::Status> running =
      std::async(std::launch::async, [&] { return server.Call(blocking); });
  gate.AwaitArrival();
  EXPECT_THAT(server.Call(large),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "queue of test requests is full (9 bytes pending, at "
                       "most 1000, and 2003 more came)"));
  gate.Release();
  EXPECT_OK(running.get());
}

TEST(UnaryHandlerTest, SkipsACallThatItsClientCancelled) {
  Gate gate;
  TestServer server(OneAtATime(),
                    [&](auto&, auto&, auto&) { return gate.Pass(); });
  AsyncCall running(server);
  gate.AwaitArrival();
  const auto* const before = server.newest();
  AsyncCall waiting(server);
  server.AwaitCallAfter(before);
  waiting.context.TryCancel();
  EXPECT_THAT(waiting.Wait(), StatusIs(absl::StatusCode::kCancelled, _));
  // It leaves the queue at once, though nobody has come to its turn.
  while (!absl::StrContains(Metrics(server), "code=\"CANCELLED\"")) {
    std::this_thread::yield();
  }
  gate.Release();
  EXPECT_OK(running.Wait());
  EXPECT_TRUE(server.handler.WaitUntilIdle(absl::Seconds(30)));
  EXPECT_EQ(gate.num_passed, 1);
}

TEST(UnaryHandlerTest, TellsARunningCallThatItsClientHasCancelled) {
  std::promise<void> arrived;
  std::promise<void> told;
  TestServer server({}, [&](auto&, auto&, const CallContext& call) {
    const std::stop_callback tell(call.cancellation(),
                                  [&] { told.set_value(); });
    arrived.set_value();
    told.get_future().wait();
    return CallContext::CancelledError();
  });
  AsyncCall running(server);
  arrived.get_future().wait();
  running.context.TryCancel();
  EXPECT_THAT(running.Wait(), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_TRUE(server.handler.WaitUntilIdle(absl::Seconds(30)));
}

TEST(UnaryHandlerTest, SkipsACallWhoseDeadlineHasPassedInTheQueue) {
  // The clock of the handler stands an hour ahead of the client's, so that the
  // call is late when it arrives, and no one waits.
  FixedClock clock(absl::Now() + absl::Hours(1));
  bool has_run = false;
  TestServer server(
      {},
      [&](auto&, auto&, auto&) {
        has_run = true;
        return absl::OkStatus();
      },
      clock);
  EXPECT_THAT(AsyncCall(server, absl::Now() + absl::Minutes(30)).Wait(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       "deadline passed in the queue of test requests"));
  EXPECT_FALSE(has_run);
}

TEST(UnaryHandlerTest, GivesACallWithoutDeadlineTheLongestOne) {
  FixedClock clock(absl::FromUnixSeconds(1'000'000));
  ServerLimits limits;
  limits.max_call_duration = absl::Seconds(7);
  absl::Time seen;
  TestServer server(
      limits,
      [&](auto&, auto&, const CallContext& call) {
        seen = call.deadline();
        return absl::OkStatus();
      },
      clock);
  EXPECT_OK(server.Call());
  EXPECT_EQ(seen, absl::FromUnixSeconds(1'000'007));
}

TEST(UnaryHandlerTest, NeverRunsPastTheClientsDeadline) {
  absl::Time seen;
  TestServer server({}, [&](auto&, auto&, const CallContext& call) {
    seen = call.deadline();
    return absl::OkStatus();
  });
  const absl::Time deadline = absl::Now() + absl::Seconds(100);
  EXPECT_OK(AsyncCall(server, deadline).Wait());
  // It travels as a timeout, rounded up to gRPC's units.
  EXPECT_LT(seen, deadline + absl::Seconds(10));
}

TEST(UnaryHandlerTest, SurvivesExceptions) {
  TestServer server(
      {},
      [](const v1::RenewLeaseRequest& request, auto&, auto&) -> absl::Status {
        if (request.incarnation() == 0) throw std::bad_alloc();
        throw std::runtime_error("from below");
      });
  EXPECT_THAT(server.Call(),
              StatusIs(absl::StatusCode::kResourceExhausted, "out of memory"));
  v1::RenewLeaseRequest request;
  request.set_incarnation(1);
  EXPECT_THAT(server.Call(request),
              StatusIs(absl::StatusCode::kInternal, "exception: from below"));
}

TEST(UnaryHandlerTest, TakesNoCallsAfterStopAdmitting) {
  Gate gate;
  TestServer server({}, [&](auto&, auto&, auto&) { return gate.Pass(); });
  AsyncCall running(server);
  gate.AwaitArrival();
  server.handler.StopAdmitting();
  EXPECT_THAT(server.Call(), StatusIs(absl::StatusCode::kUnavailable,
                                      "test requests: shutting down"));
  EXPECT_FALSE(server.handler.WaitUntilIdle(absl::ZeroDuration()));
  gate.Release();
  EXPECT_OK(running.Wait());
  EXPECT_TRUE(server.handler.WaitUntilIdle(absl::Seconds(30)));
}

TEST(DrainTest, CancelsWhatACallWaitsForWhenTheGraceIsOver) {
  // The server calls itself, and the inner call would never end.
  OutboundCalls calls;
  TestServer* self = nullptr;
  std::promise<void> inner_runs;
  auto inner = std::make_shared<grpc::ClientContext>();
  std::promise<absl::Status> inner_ended;
  TestServer server({}, [&](const v1::RenewLeaseRequest& request, auto&,
                            auto&) {
    if (request.incarnation() == 1) {
      inner_runs.set_value();
      return inner_ended.get_future().get();
    }
    EXPECT_TRUE(calls.Add(inner));
    v1::RenewLeaseRequest nested;
    nested.set_incarnation(1);
    v1::RenewLeaseResponse response;
    const absl::Status status =
        FromGrpcStatus(self->stub->RenewLease(inner.get(), nested, &response));
    inner_ended.set_value(status);
    calls.Remove(inner);
    return status;
  });
  self = &server;
  AsyncCall outer(server);
  inner_runs.get_future().wait();
  UnaryHandler* const handlers[] = {&server.handler};
  Drain(*server.server, handlers, calls, absl::Milliseconds(20), Clock::Real());
  EXPECT_FALSE(outer.Wait().ok());
  EXPECT_FALSE(calls.Add(inner));
  Drain(*server.server, handlers, calls, absl::Seconds(1), Clock::Real());
}

}  // namespace
}  // namespace switchyard
