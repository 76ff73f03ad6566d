#include "services/rpc/rpc_server.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <prometheus/counter.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "services/rpc/address.h"
#include "services/rpc/metrics_page.h"
#include "services/rpc/rpc_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::switchyard::testing::TestServer;
using ::testing::_;
using ::testing::HasSubstr;

TestServer::Body Nothing() {
  return [](auto&, auto&, auto) { return absl::OkStatus(); };
}

// Sends one message on a stream of any method and returns the first answer.
// Health and reflection have no generated code here: their few bytes are
// written by hand.
absl::StatusOr<std::string> Exchange(const std::string& address,
                                     const std::string& method,
                                     const std::string& request) {
  grpc::GenericStub stub(MakeChannel(address, 1 << 20));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
  grpc::CompletionQueue queue;
  const auto wait = [&queue] {
    void* tag;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  bool ok = wait();
  const grpc::Slice slice(request);
  if (ok) call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
  ok = ok && wait();
  grpc::ByteBuffer response;
  if (ok) call->Read(&response, nullptr);
  ok = ok && wait();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  if (!status.ok()) return FromGrpcStatus(status);
  grpc::Slice whole;
  EXPECT_TRUE(response.DumpToSingleSlice(&whole).ok());
  return std::string(reinterpret_cast<const char*>(whole.begin()),
                     whole.size());
}

absl::StatusOr<std::string> CheckHealth(const std::string& address,
                                        const std::string& service) {
  // HealthCheckRequest { service = 1 }.
  return Exchange(
      address, "/grpc.health.v1.Health/Check",
      absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())),
                   service));
}

// HealthCheckResponse { status = 1 }.
constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";

TEST(RpcServerTest, AnswersHealthChecks) {
  TestServer server({}, Nothing());
  for (const char* service : {"", "switchyard.v1.Registry"}) {
    ASSERT_OK_AND_ASSIGN(const std::string health,
                         CheckHealth(server.server->address(), service));
    EXPECT_EQ(health, kServing);
  }
  EXPECT_THAT(CheckHealth(server.server->address(), "other"),
              StatusIs(absl::StatusCode::kNotFound, _));
  server.server->StopServing();
  ASSERT_OK_AND_ASSIGN(
      const std::string health,
      CheckHealth(server.server->address(), "switchyard.v1.Registry"));
  EXPECT_EQ(health, kNotServing);
}

TEST(RpcServerTest, AnswersReflection) {
  TestServer server({}, Nothing());
  // ServerReflectionRequest { list_services = 7 }.
  const std::string list("\x3a\x00", 2);
  ASSERT_OK_AND_ASSIGN(
      const std::string services,
      Exchange(server.server->address(),
               "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
               list));
  EXPECT_THAT(services, HasSubstr("switchyard.v1.Registry"));
  EXPECT_THAT(services, HasSubstr("grpc.health.v1.Health"));
  // ServerReflectionRequest { file_containing_symbol = 4 }.
  ASSERT_OK_AND_ASSIGN(
      const std::string file,
      Exchange(server.server->address(),
               "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
               "\x22\x16switchyard.v1.Registry"));
  EXPECT_THAT(file, HasSubstr("RegisterWorkerRequest"));
}

TEST(RpcServerTest, RefusesAPortThatIsTaken) {
  TestServer server({}, Nothing());
  EXPECT_THAT(RpcServer::Start(server.server->address(), {}, {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr(absl::StrCat("cannot listen on ",
                                              server.server->address()))));
}

TEST(RpcServerTest, RefusesMessagesOverTheLimitInBothDirections) {
  ServerLimits limits;
  limits.max_message_bytes = 1000;
  TestServer server(limits, [](auto&, v1::RenewLeaseResponse& response, auto) {
    response.GetReflection()
        ->MutableUnknownFields(&response)
        ->AddLengthDelimited(9, std::string(2000, 'x'));
    return absl::OkStatus();
  });
  v1::RenewLeaseRequest large;
  large.set_worker_id(std::string(2000, 'w'));
  EXPECT_THAT(server.Call(large), StatusIs(absl::StatusCode::kResourceExhausted,
                                           HasSubstr("larger than max")));
  EXPECT_THAT(server.Call(), StatusIs(absl::StatusCode::kResourceExhausted,
                                      HasSubstr("larger than max")));
}

TEST(RpcServerTest, ListensOnAUnixSocketAndReplacesOnlyAnAbandonedOne) {
  const std::string address = absl::StrCat(
      "unix:", ::testing::TempDir(), "/rpc_server_test.", getpid(), ".sock");
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<RpcServer> server,
                       RpcServer::Start(address, {}, {}));
  EXPECT_EQ(server->address(), address);
  ASSERT_OK_AND_ASSIGN(const std::string health, CheckHealth(address, ""));
  EXPECT_EQ(health, kServing);
  EXPECT_THAT(RpcServer::Start(address, {}, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in use")));
  server.reset();
  EXPECT_OK(RpcServer::Start(address, {}, {}));
}

TEST(RpcServerTest, ShutdownCanBeRepeated) {
  TestServer server({}, Nothing());
  EXPECT_OK(server.Call());
  server.server->Shutdown(absl::Seconds(1));
  server.server->Shutdown(absl::ZeroDuration());
  EXPECT_THAT(server.Call(), StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST(AddressTest, TakesHostPortAndUnixPaths) {
  for (const char* address :
       {"127.0.0.1:0", "localhost:65535", "w-0.workers_1.svc:80", "[::1]:443",
        "unix:/run/gateway.sock"}) {
    ASSERT_OK_AND_ASSIGN(const Address parsed, ParseAddress(address, "a"));
    EXPECT_EQ(parsed.ToString(), address);
  }
}

TEST(AddressTest, RefusesEverythingElse) {
  for (const char* address :
       {"", "localhost", ":80", "localhost:", "localhost:65536", "a:-1", "a:+1",
        "a: 1", "a:1x", "dns:///a:1", "a,b:1", "unix:", "::1:80", "[::1]",
        "[]:80", "[a]b]:80", "a\nb:80", "a:000080"}) {
    EXPECT_THAT(ParseAddress(address, "listen_address"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         ::testing::StartsWith("listen_address: got '")))
        << address;
  }
  EXPECT_THAT(ParseAddress(absl::StrCat("unix:", std::string(200, 'p')), "a"),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(AddressTest, DialsNoPortZero) {
  EXPECT_OK(CheckDialAddress("a:1", "address"));
  EXPECT_OK(CheckDialAddress("unix:/a", "address"));
  EXPECT_THAT(CheckDialAddress("a:0", "address"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "address: got 'a:0', expected a port other than 0"));
}

TEST(MetricsPageTest, RefusesAnAddressThatIsTakenOrIllFormed) {
  auto registry = std::make_shared<prometheus::Registry>();
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<MetricsPage> page,
                       MetricsPage::Start("127.0.0.1:0", registry));
  EXPECT_THAT(page->address(), ::testing::StartsWith("127.0.0.1:"));
  EXPECT_OK(CheckDialAddress(page->address(), "metrics_address"));
  EXPECT_THAT(
      MetricsPage::Start(page->address(), registry),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr(page->address())));
  EXPECT_THAT(MetricsPage::Start("nowhere", registry),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(MetricsPage::Start("unix:/tmp/metrics", registry),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(MetricsPageTest, ListensOnHostNames) {
  auto registry = std::make_shared<prometheus::Registry>();
  EXPECT_OK(MetricsPage::Start("localhost:0", registry));
}

}  // namespace
}  // namespace switchyard
