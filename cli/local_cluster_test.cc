#include "cli/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/local_cluster_testing.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ListeningLineTest, IsReadWhateverElseItSays) {
  ASSERT_OK_AND_ASSIGN(
      const ListeningLine worker,
      ParseListeningLine("switchyard-worker listening worker=w0 "
                         "grpc=127.0.0.1:41233 metrics=[::1]:7"));
  EXPECT_EQ(worker.address, "127.0.0.1:41233");
  EXPECT_EQ(worker.metrics_address, "[::1]:7");
  ASSERT_OK_AND_ASSIGN(
      const ListeningLine gateway,
      ParseListeningLine("switchyard-gateway listening grpc=unix:/tmp/g "
                         "metrics=none"));
  EXPECT_EQ(gateway.address, "unix:/tmp/g");
  EXPECT_EQ(gateway.metrics_address, "");
}

TEST(ListeningLineTest, RefusesOtherLines) {
  for (const char* line : {"", "hello", "grpc=127.0.0.1:1", "metrics=none",
                           "grpc= metrics=none"}) {
    EXPECT_THAT(ParseListeningLine(line),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("expected grpc= and metrics=")))
        << line;
  }
}

class LocalClusterTest : public testing::LocalClusterTestBase {
 protected:
  absl::Status StartStatus() {
    return LocalCluster::Start(options_, *events_).status();
  }
};

TEST_F(LocalClusterTest, StartsAllAndStopsAll) {
  ASSERT_OK_AND_ASSIGN(LocalCluster cluster,
                       LocalCluster::Start(options_, *events_));
  ASSERT_EQ(cluster.members().size(), 3);
  EXPECT_EQ(cluster.members()[0].name, "gateway");
  EXPECT_EQ(cluster.members()[2].name, "w1");
  EXPECT_EQ(cluster.gateway_address(), absl::StrCat("127.0.0.1:", port_));
  EXPECT_THAT(cluster.MetricsUrls(),
              ElementsAre("http://127.0.0.1:9/metrics", _, _));
  EXPECT_TRUE(cluster.TakeEnded().empty());

  cluster.Stop(*events_);
  const std::vector<LocalCluster::EndedMember> ended = cluster.TakeEnded();
  ASSERT_EQ(ended.size(), 3);
  EXPECT_TRUE(ended[0].is_gateway);
  EXPECT_FALSE(ended[1].is_gateway);
  EXPECT_EQ(ended[1].status.signal, SIGTERM);
  EXPECT_TRUE(cluster.TakeEnded().empty()) << "told twice";
  cluster.Stop(*events_);
}

// The fake worker writes down what it was given.
TEST_F(LocalClusterTest, TellsWorkersWhatToDo) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "/switchyard_", getpid(), "_flags");
  scripts_.push_back(path);
  options_.num_workers = 1;
  options_.num_compute_threads_per_worker = 3;
  options_.worker_config = "worker.toml";
  setenv("SWITCHYARD_WORKER_ID", "from-the-users-shell", 1);
  options_.worker_binary = WriteScript(
      "worker", absl::StrCat("echo \"$* [$SWITCHYARD_WORKER_ID]\" > ", path,
                             "\n", Serve()));
  ASSERT_OK_AND_ASSIGN(LocalCluster cluster,
                       LocalCluster::Start(options_, *events_));
  cluster.Stop(*events_);
  unsetenv("SWITCHYARD_WORKER_ID");
  std::ifstream file(path);
  std::string flags;
  std::getline(file, flags);
  EXPECT_THAT(
      flags,
      AllOf(HasSubstr("/w0.sock --gateway"),
            HasSubstr(absl::StrCat("--gateway 127.0.0.1:", port_)),
            HasSubstr("--worker-id w0"), HasSubstr("--num-compute-threads 3"),
            HasSubstr("--log-level warning"), HasSubstr("--config worker.toml"),
            HasSubstr("[]")));
}

TEST_F(LocalClusterTest, AProcessThatEndsWhileStartingIsNamed) {
  // With two, either may be the first to be seen.
  options_.num_workers = 1;
  options_.worker_binary = WriteScript("worker", "exit 3\n");
  EXPECT_THAT(
      StartStatus(),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("w0 (pid "),
                     HasSubstr("ended while starting: exit status 3"))));
  options_.gateway_binary = WriteScript("gateway", "kill -KILL $$\n");
  EXPECT_THAT(StartStatus(), StatusIs(absl::StatusCode::kUnavailable,
                                      AllOf(HasSubstr("gateway (pid "),
                                            HasSubstr("signal 9 (Killed)"))));
}

TEST_F(LocalClusterTest, AProgramThatIsNotThereIsNamed) {
  options_.gateway_binary = "/nonexistent/switchyard-gateway";
  EXPECT_THAT(StartStatus(),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("/nonexistent/switchyard-gateway")));
}

TEST_F(LocalClusterTest, GivesUpOnOneThatSaysNothing) {
  options_.gateway_binary = WriteScript("gateway", "exec sleep 60\n");
  options_.start_timeout = absl::Milliseconds(50);
  EXPECT_THAT(StartStatus(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("gateway to say what it listens on")));
}

TEST_F(LocalClusterTest, GivesUpWhenWorkersDoNotRegister) {
  options_.num_workers = 3;  // The registry knows two.
  options_.start_timeout = absl::Seconds(1);
  EXPECT_THAT(StartStatus(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                      HasSubstr("2 of 3 are up")));
}

TEST_F(LocalClusterTest, ASignalToStopEndsTheStart) {
  options_.gateway_binary = WriteScript("gateway", "exec sleep 60\n");
  kill(getpid(), SIGINT);
  EXPECT_THAT(StartStatus(), StatusIs(absl::StatusCode::kCancelled, _));
}

TEST_F(LocalClusterTest, RubbishInsteadOfALineIsAnError) {
  options_.gateway_binary =
      WriteScript("gateway", "echo rubbish\nexec sleep 60\n");
  EXPECT_THAT(StartStatus(), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("'rubbish'")));
}

TEST(SiblingBinaryTest, LooksBesideThisProgram) {
  EXPECT_OK(SiblingBinary("cli_test"));
  EXPECT_THAT(
      SiblingBinary("no-such-program"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-program")));
}

}  // namespace
}  // namespace switchyard
