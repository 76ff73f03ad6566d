// switchyard-gateway and switchyard-worker as processes: what they print, how
// they are configured, how they end.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_testing.h"
#include "tests/integration/program.h"

namespace switchyard::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class ServerProcessTest : public ProgramTest {
 protected:
  absl::StatusOr<ChildProcess> StartGateway(
      std::vector<std::string> flags, std::string& line,
      const std::vector<std::string>& variables = {}) {
    flags.insert(flags.begin(), GatewayBinary());
    return StartReady(flags, line, variables);
  }
};

TEST_F(ServerProcessTest, TheGatewaySaysWhatItListensOnAndStopsOnSigterm) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    std::string line;
    ASSERT_OK_AND_ASSIGN(ChildProcess gateway, StartGateway({}, line));
    EXPECT_THAT(line, MatchesRegex("switchyard-gateway listening "
                                   "grpc=127\\.0\\.0\\.1:[0-9]+ "
                                   "metrics=127\\.0\\.0\\.1:[0-9]+"));
    gateway.Signal(signal);
    EXPECT_EQ(WaitForCode(gateway), 0);
  }
}

TEST_F(ServerProcessTest, AWorkerSaysWhatItListensOnAndStopsOnSigterm) {
  std::string gateway_line;
  ASSERT_OK_AND_ASSIGN(ChildProcess gateway, StartGateway({}, gateway_line));
  std::string line;
  ASSERT_OK_AND_ASSIGN(
      ChildProcess worker,
      StartReady({WorkerBinary(), "--gateway", Field(gateway_line, "grpc"),
                  "--worker-id", "w7"},
                 line));
  EXPECT_THAT(line, MatchesRegex("switchyard-worker listening worker=w7 "
                                 "grpc=127\\.0\\.0\\.1:[0-9]+ "
                                 "metrics=127\\.0\\.0\\.1:[0-9]+"));
  worker.Signal(SIGTERM);
  EXPECT_EQ(WaitForCode(worker), 0);
  gateway.Signal(SIGTERM);
  EXPECT_EQ(WaitForCode(gateway), 0);
}

TEST_F(ServerProcessTest, AWorkerWithoutItsGatewayWaitsAndStillStops) {
  std::string line;
  ASSERT_OK_AND_ASSIGN(
      ChildProcess worker,
      StartReady({WorkerBinary(), "--gateway", "127.0.0.1:1"}, line));
  EXPECT_THAT(line, StartsWith("switchyard-worker listening worker="));
  worker.Signal(SIGTERM);
  EXPECT_EQ(WaitForCode(worker), 0);
}

// The gateway and the shell that starts it hold the write end of a pipe: its
// end of file says that both are gone.
TEST_F(ServerProcessTest, ExitsWithItsParentWhereAsked) {
  int alive[2];
  ASSERT_EQ(pipe2(alive, O_CLOEXEC), 0);
  const int inherited = dup(alive[1]);
  std::string line;
  ASSERT_OK_AND_ASSIGN(
      ChildProcess shell,
      StartReady({"/bin/sh", "-c",
                  absl::StrCat(GatewayBinary(), " --exit-with-parent & wait")},
                 line));
  EXPECT_THAT(line, StartsWith("switchyard-gateway listening"));
  close(inherited);
  close(alive[1]);
  shell.Signal(SIGKILL);
  pollfd end_of_file = {alive[0], POLLIN, 0};
  EXPECT_EQ(poll(&end_of_file, 1, 30'000), 1) << "the gateway lives on";
  close(alive[0]);
}

// A health watch, a call that stays open until the server cancels it.
class OpenWatch {
 public:
  explicit OpenWatch(const std::string& address)
      : stub_(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials())) {
    context_.set_deadline(absl::ToChronoTime(Clock::Real().Now() + kLong));
    call_ =
        stub_.Call(&context_, "/grpc.health.v1.Health/Watch", &queue_, nullptr);
    AwaitOne();
    // An empty HealthCheckRequest: the health of the whole server.
    grpc::Slice nothing;
    call_->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(),
                     nullptr);
    AwaitOne();
    call_->Read(&answer_, nullptr);
    is_open_ = AwaitOne();
  }
  ~OpenWatch() {
    context_.TryCancel();
    grpc::Status status;
    call_->Finish(&status, nullptr);
    AwaitOne();
  }
  bool is_open() const { return is_open_; }

 private:
  bool AwaitOne() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer answer_;
  bool is_open_ = false;
};

TEST_F(ServerProcessTest, TheSecondSignalEndsAShutdownThatWaits) {
  std::string line;
  ASSERT_OK_AND_ASSIGN(ChildProcess gateway,
                       StartGateway({"--shutdown-grace-ms", "600000"}, line));
  const OpenWatch watch(Field(line, "grpc"));
  ASSERT_TRUE(watch.is_open());
  gateway.Signal(SIGTERM);
  ASSERT_TRUE(Eventually(
      [&] { return ErrorText().find("shutting down") != std::string::npos; }));
  EXPECT_TRUE(Eventually([&] {
    gateway.Signal(SIGINT);
    return gateway.Poll().has_value();
  }));
  EXPECT_EQ(WaitForCode(gateway), 128 + SIGINT);
}

TEST_F(ServerProcessTest, ATakenPortIsAnErrorThatNamesIt) {
  std::string line;
  ASSERT_OK_AND_ASSIGN(ChildProcess gateway, StartGateway({}, line));
  const ProgramResult same_port =
      Run({GatewayBinary(), "--listen", Field(line, "grpc")});
  EXPECT_EQ(same_port.code, 1);
  EXPECT_THAT(same_port.err, AllOf(StartsWith("switchyard-gateway: "),
                                   HasSubstr(Field(line, "grpc"))));
  EXPECT_EQ(same_port.out, "");
  const ProgramResult same_page =
      Run({WorkerBinary(), "--gateway", Field(line, "grpc"), "--metrics-listen",
           Field(line, "metrics")});
  EXPECT_EQ(same_page.code, 1);
  EXPECT_THAT(same_page.err, AllOf(StartsWith("switchyard-worker: "),
                                   HasSubstr(Field(line, "metrics"))));
}

TEST_F(ServerProcessTest, FlagsWinOverTheEnvironmentAndThatOverTheFile) {
  const std::string file =
      WriteFile("gateway.toml", "metrics-listen = \"none\"\n");
  std::string from_file;
  ASSERT_OK(StartGateway({"--config", file}, from_file));
  EXPECT_EQ(Field(from_file, "metrics"), "none");

  std::string from_environment;
  ASSERT_OK(StartGateway({"--config", file}, from_environment,
                         {"SWITCHYARD_METRICS_LISTEN=127.0.0.1:0"}));
  EXPECT_THAT(Field(from_environment, "metrics"), StartsWith("127.0.0.1:"));

  std::string from_flag;
  ASSERT_OK(StartGateway({"--config", file, "--metrics-listen", "none"},
                         from_flag, {"SWITCHYARD_METRICS_LISTEN=127.0.0.1:0"}));
  EXPECT_EQ(Field(from_flag, "metrics"), "none");
}

TEST_F(ServerProcessTest, MistakesNameFlagValueAndExpectation) {
  struct Mistake {
    std::vector<std::string> argv;
    std::string message;
  };
  const std::string file = WriteFile("wrong.toml", "lisen = \"x\"\n");
  for (const Mistake& mistake : std::vector<Mistake>{
           {{GatewayBinary(), "--listen", "nowhere"},
            "--listen: got 'nowhere', expected host:port or unix:/path"},
           {{GatewayBinary(), "--num-request-threads", "0"},
            "--num-request-threads: got '0', expected an integer from 1 to "
            "1024"},
           {{GatewayBinary(), "--config", file},
            absl::StrCat(file,
                         ": got key 'lisen', expected the name of a "
                         "flag")},
           {{GatewayBinary(), "--colour", "red"}, "--colour"},
           {{WorkerBinary()}, "--gateway: not given"},
           {{WorkerBinary(), "--gateway", "g:1", "--worker-id", "a b"},
            "--worker-id: got 'a b', expected 1 to 128 characters"},
       }) {
    const ProgramResult result = Run(mistake.argv);
    EXPECT_EQ(result.code, 2) << mistake.message;
    EXPECT_THAT(result.err, HasSubstr(mistake.message));
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(ServerProcessTest, HelpAndVersionGoToStandardOutput) {
  for (const std::string& program :
       {SwitchyardBinary(), GatewayBinary(), WorkerBinary()}) {
    const ProgramResult help = Run({program, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("--version"));
    EXPECT_EQ(help.err, "");
    const ProgramResult version = Run({program, "--version"});
    EXPECT_EQ(version.code, 0);
    EXPECT_THAT(version.out, MatchesRegex("switchyard[a-z-]* "
                                          "[0-9]+\\.[0-9]+\\.[0-9]+\n"));
  }
}

}  // namespace
}  // namespace switchyard::testing
