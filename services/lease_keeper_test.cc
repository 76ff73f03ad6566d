#include "services/lease_keeper.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_testing.h"
#include "services/rpc/rpc_server.h"
#include "switchyard/v1/registry.grpc.pb.h"

namespace switchyard {
namespace {

using ::testing::ElementsAre;

// A registry that says what the test wants and writes down, in order, what it
// is asked.
class FakeRegistry final : public v1::Registry::CallbackService {
 public:
  grpc::ServerUnaryReactor* RegisterWorker(
      grpc::CallbackServerContext* context,
      const v1::RegisterWorkerRequest* request,
      v1::RegisterWorkerResponse* response) override {
    response->set_lease_duration_ms(30);
    response->set_generation(1);
    MutexLock lock(mutex_);
    registrations_.push_back(*request);
    return Answer(context, "register", refuse_register_);
  }
  grpc::ServerUnaryReactor* RenewLease(
      grpc::CallbackServerContext* context,
      const v1::RenewLeaseRequest* request,
      v1::RenewLeaseResponse* response) override {
    response->set_lease_duration_ms(30);
    MutexLock lock(mutex_);
    const bool known =
        request->incarnation() == registrations_.back().incarnation();
    const grpc::StatusCode code = std::exchange(renew_once_, grpc::OK);
    return Answer(context, known ? "renew" : "renew another", code);
  }
  grpc::ServerUnaryReactor* DeregisterWorker(
      grpc::CallbackServerContext* context,
      const v1::DeregisterWorkerRequest* request,
      v1::DeregisterWorkerResponse* /*response*/) override {
    MutexLock lock(mutex_);
    const bool known =
        request->incarnation() == registrations_.back().incarnation();
    return Answer(context, known ? "deregister" : "deregister another",
                  grpc::OK);
  }

  // Written between the others.
  void Note(const std::string& event) {
    MutexLock lock(mutex_);
    Append(event);
  }
  void RefuseRegister(grpc::StatusCode code) {
    MutexLock lock(mutex_);
    refuse_register_ = code;
  }
  // The next renewal gets that code.
  void RefuseRenewalOnce(grpc::StatusCode code) {
    MutexLock lock(mutex_);
    renew_once_ = code;
  }

  void AwaitNumEvents(const std::string& event, int num) {
    MutexLock lock(mutex_);
    while (Count(event) < num) changed_.Wait(mutex_);
  }
  int NumEvents(const std::string& event) {
    MutexLock lock(mutex_);
    return Count(event);
  }
  // Without renewals that went well in a row.
  std::vector<std::string> events() {
    MutexLock lock(mutex_);
    std::vector<std::string> events;
    for (const std::string& event : events_) {
      if (events.empty() || event != "renew" || events.back() != "renew") {
        events.push_back(event);
      }
    }
    return events;
  }
  std::vector<v1::RegisterWorkerRequest> registrations() {
    MutexLock lock(mutex_);
    return registrations_;
  }

 private:
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   const std::string& event,
                                   grpc::StatusCode code)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Append(code == grpc::OK ? event : absl::StrCat(event, " refused"));
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(code == grpc::OK ? grpc::Status::OK
                                     : grpc::Status(code, "as told"));
    return reactor;
  }
  void Append(const std::string& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    events_.push_back(event);
    changed_.NotifyAll();
  }
  int Count(const std::string& event) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    int num = 0;
    for (const std::string& each : events_) num += each == event ? 1 : 0;
    return num;
  }

  Mutex mutex_;
  CondVar changed_;
  grpc::StatusCode refuse_register_ ABSL_GUARDED_BY(mutex_) = grpc::OK;
  grpc::StatusCode renew_once_ ABSL_GUARDED_BY(mutex_) = grpc::OK;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::RegisterWorkerRequest> registrations_ ABSL_GUARDED_BY(mutex_);
};

class LeaseKeeperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(
        server_, RpcServer::Start("127.0.0.1:0", {}, {{"r", &registry_}}));
  }

  std::unique_ptr<LeaseKeeper> StartKeeper() {
    return std::make_unique<LeaseKeeper>(
        LeaseKeeperOptions{.gateway_address = server_->address(),
                           .worker_id = "w-1",
                           .address = "10.0.0.1:1",
                           .metrics_address = "10.0.0.1:2"},
        Clock::Real(), [this] { registry_.Note("unload"); });
  }
  static void AwaitRegistered(const LeaseKeeper& keeper, bool registered) {
    while (keeper.registered() != registered) std::this_thread::yield();
  }

  FakeRegistry registry_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(LeaseKeeperTest, RegistersRenewsAndDeregisters) {
  auto keeper = StartKeeper();
  registry_.AwaitNumEvents("renew", 3);
  AwaitRegistered(*keeper, true);
  keeper->Stop();
  EXPECT_FALSE(keeper->registered());
  keeper->Stop();
  keeper.reset();
  EXPECT_THAT(registry_.events(),
              ElementsAre("unload", "register", "renew", "deregister"));
  const v1::RegisterWorkerRequest request = registry_.registrations().front();
  EXPECT_EQ(request.worker_id(), "w-1");
  EXPECT_EQ(request.address(), "10.0.0.1:1");
  EXPECT_EQ(request.metrics_address(), "10.0.0.1:2");
  EXPECT_NE(request.incarnation(), 0u);
}

TEST_F(LeaseKeeperTest, EmptiesTheWorkerBeforeItRegistersAgain) {
  auto keeper = StartKeeper();
  registry_.AwaitNumEvents("renew", 1);
  registry_.RefuseRenewalOnce(grpc::NOT_FOUND);
  registry_.AwaitNumEvents("register", 2);
  registry_.AwaitNumEvents("renew", registry_.NumEvents("renew") + 1);
  keeper.reset();
  EXPECT_THAT(registry_.events(),
              ElementsAre("unload", "register", "renew", "renew refused",
                          "unload", "register", "renew", "deregister"));
  const auto registrations = registry_.registrations();
  EXPECT_NE(registrations[0].incarnation(), registrations[1].incarnation());
}

TEST_F(LeaseKeeperTest, KeepsTheExpertsWhileTheGatewayIsAway) {
  auto keeper = StartKeeper();
  registry_.AwaitNumEvents("renew", 1);
  AwaitRegistered(*keeper, true);
  const std::string address = server_->address();
  server_->Shutdown(absl::ZeroDuration());
  AwaitRegistered(*keeper, false);
  const int num_renewals = registry_.NumEvents("renew");
  server_.reset();
  ASSERT_OK_AND_ASSIGN(server_,
                       RpcServer::Start(address, {}, {{"r", &registry_}}));
  registry_.AwaitNumEvents("renew", num_renewals + 1);
  AwaitRegistered(*keeper, true);
  EXPECT_EQ(registry_.NumEvents("unload"), 1);
  EXPECT_EQ(registry_.NumEvents("register"), 1);
}

TEST_F(LeaseKeeperTest, TriesOnWithADifferentIncarnationEachTime) {
  registry_.RefuseRegister(grpc::UNAVAILABLE);
  auto keeper = StartKeeper();
  registry_.AwaitNumEvents("register refused", 2);
  EXPECT_FALSE(keeper->registered());
  registry_.RefuseRegister(grpc::OK);
  registry_.AwaitNumEvents("renew", 1);
  AwaitRegistered(*keeper, true);
  EXPECT_EQ(registry_.NumEvents("unload"),
            static_cast<int>(registry_.registrations().size()));
  EXPECT_NE(registry_.registrations()[0].incarnation(),
            registry_.registrations()[1].incarnation());
}

TEST_F(LeaseKeeperTest, StopsAtOnceWhereNoGatewayIs) {
  const std::string address = server_->address();
  server_.reset();
  LeaseKeeper keeper({.gateway_address = address, .worker_id = "w-1"},
                     Clock::Real(), [] {});
  EXPECT_FALSE(keeper.registered());
  keeper.Stop();
}

}  // namespace
}  // namespace switchyard
