// `switchyard` against real gateways and workers.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "tests/integration/program.h"

namespace switchyard::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSpec[] =
    "name: \"moe\" hidden_size: 4 num_experts: 4 expert { linear {} }\n";
constexpr char kForward[] =
    R"({"layer":"moe","mode":"MODE_EVAL","x":{"dtype":"DTYPE_FLOAT32",)"
    R"("shape":[1,4],"floatValues":[1,2,3,4]}})";

// `switchyard up` as the test's child.
class UpTest : public ProgramTest {
 protected:
  std::vector<std::string> Up(const std::string& script) const {
    return {SwitchyardBinary(), "up", "--workers", "2", "--",
            "/bin/sh",          "-c", script};
  }
};

TEST_F(UpTest, RunsACommandWithTheClusterInItsEnvironment) {
  const ProgramResult result =
      Run(Up("echo \"$SWITCHYARD_METRICS\"; \"$SWITCHYARD\" status --json"));
  EXPECT_EQ(result.code, 0) << result.err;
  const size_t end_of_line = result.out.find('\n');
  EXPECT_THAT(result.out.substr(0, end_of_line),
              ::testing::MatchesRegex("(http://127.0.0.1:[0-9]+/metrics ?)+"));
  const auto json = nlohmann::json::parse(result.out.substr(end_of_line));
  ASSERT_EQ(json["workers"].size(), 2);
  EXPECT_EQ(json["workers"][0]["worker_id"], "w0");
  EXPECT_EQ(json["workers"][1]["state"], "UP");
  EXPECT_THAT(result.err, AllOf(HasSubstr("export SWITCHYARD_GATEWAY="),
                                HasSubstr("\n  gateway ")));
}

TEST_F(UpTest, ExitsWithTheCommandsCode) {
  EXPECT_EQ(Run(Up("exit 9")).code, 9);
  EXPECT_EQ(Run(Up("kill -KILL $$")).code, 137);
  const ProgramResult missing =
      Run({SwitchyardBinary(), "up", "--workers", "1", "--", "/no/such"});
  EXPECT_EQ(missing.code, 127);
  EXPECT_THAT(missing.err, HasSubstr("cannot run /no/such"));
}

TEST_F(UpTest, WithoutACommandItServesUntilSigterm) {
  std::string line;
  ASSERT_OK_AND_ASSIGN(
      ChildProcess up,
      StartReady({SwitchyardBinary(), "up", "--workers", "1"}, line));
  EXPECT_THAT(line, HasSubstr("ready in"));
  up.Signal(SIGTERM);
  EXPECT_EQ(WaitForCode(up), 0);
}

// The command still reaches the gateway while it cleans up.
TEST_F(UpTest, TheClusterOutlivesACommandThatWasInterrupted) {
  std::string line;
  ASSERT_OK_AND_ASSIGN(
      ChildProcess up,
      StartReady(Up("trap '\"$SWITCHYARD\" status > /dev/null && exit 5; exit "
                    "6' INT; echo up; while :; do sleep 0.05; done"),
                 line));
  up.Signal(SIGINT);
  EXPECT_EQ(WaitForCode(up), 5);
}

// All processes of the cluster, and the command, hold the write end of a pipe:
// its end of file says that none of them is left.
TEST_F(UpTest, LeavesNoProcessBehindWhenItIsKilled) {
  int alive[2];
  ASSERT_EQ(pipe2(alive, O_CLOEXEC), 0);
  const int inherited = dup(alive[1]);
  std::string line;
  ASSERT_OK_AND_ASSIGN(ChildProcess up,
                       StartReady(Up("echo up; exec sleep 600"), line));
  close(inherited);
  close(alive[1]);
  pollfd end_of_file = {alive[0], POLLIN, 0};
  EXPECT_EQ(poll(&end_of_file, 1, 0), 0) << "nobody holds the pipe";
  up.Signal(SIGKILL);
  EXPECT_EQ(poll(&end_of_file, 1, 30'000), 1) << "a process lives on";
  close(alive[0]);
}

TEST_F(UpTest, AWorkerMayDieButNotTheGateway) {
  // Their pids are in the table that up prints.
  const std::string table = WriteFile("table", "");
  const auto run = [&](const std::string& script) {
    return Run({"/bin/sh", "-c",
                absl::StrCat("TABLE=", table,
                             "; export TABLE; exec \"$SWITCHYARD\" up "
                             "--workers 2 -- sh -c '",
                             script, "' 2> ", table)});
  };
  const auto pid_of = [](const std::string& name) {
    return absl::StrCat("$(sed -n \"s/^  ", name,
                        "  *\\([0-9]*\\) .*/\\1/p\" $TABLE)");
  };
  EXPECT_EQ(run(absl::StrCat("kill -KILL ", pid_of("w1"),
                             "; until grep -q \"the others go on\" $TABLE; do "
                             "sleep 0.05; done; exit 4"))
                .code,
            4);
  EXPECT_EQ(
      run(absl::StrCat("kill -KILL ", pid_of("gateway"), "; exec sleep 600"))
          .code,
      1);
}

TEST_F(UpTest, SaysWhichProcessDidNotStart) {
  const ProgramResult result =
      Run({SwitchyardBinary(), "up", "--worker-binary", "/bin/false"});
  EXPECT_EQ(result.code, 1);
  // Either may be seen to end first.
  EXPECT_THAT(result.err, AnyOf(HasSubstr("w0 (pid "), HasSubstr("w1 (pid ")));
  EXPECT_THAT(result.err, HasSubstr("ended while starting: exit status 1"));
}

TEST_F(UpTest, LayersAreCreatedCalledAndDeletedFromTheCommandLine) {
  const std::string spec = WriteFile("spec.textproto", kSpec);
  const ProgramResult result = Run(Up(
      absl::StrCat("set -e; s=\"$SWITCHYARD\"; $s layer create --file ", spec,
                   " > /dev/null; $s layer list; $s call Forward '", kForward,
                   "'; $s status; $s layer delete moe; $s layer list")));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("moe    SERVING        4  linear 4-4  1"),
                    HasSubstr("\"shape\": [\"1\", \"4\"]"),
                    HasSubstr("\"floatValues\": ["),
                    HasSubstr("1 token, 0 dropped routes (0.0 %)"),
                    HasSubstr("deleted layer moe\nThere is no layer.\n")));
}

TEST_F(UpTest, BenchLosesNothingAndStarvesNobody) {
  const std::string spec = WriteFile("spec.textproto", kSpec);
  const std::string json_file = WriteFile("load.json", "");
  const ProgramResult result = Run(Up(
      absl::StrCat("set -e; s=\"$SWITCHYARD\"; $s layer create --file ", spec,
                   " > /dev/null; $s bench --layer moe --tokens 3 --clients 64"
                   " --outstanding 1 --duration-s 1 --json ",
                   json_file, " > /dev/null; cat ", json_file,
                   "; $s bench --layer moe --rate 50,100 --duration-s 0.5")));
  ASSERT_EQ(result.code, 0) << result.err;
  const size_t end = result.out.find("\n]\n") + 3;
  const auto json = nlohmann::json::parse(result.out.substr(0, end));
  ASSERT_EQ(json.size(), 1);
  EXPECT_TRUE(json[0]["failed"].empty()) << result.out;
  EXPECT_EQ(json[0]["answered"], json[0]["due"]);
  ASSERT_EQ(json[0]["client_answered"].size(), 64);
  for (const int64_t answered : json[0]["client_answered"]) {
    EXPECT_GT(answered, 0);
  }
  EXPECT_THAT(result.out.substr(end),
              AllOf(HasSubstr("OFFERED/s"), HasSubstr("\n     50.0 "),
                    HasSubstr("\n    100.0 ")));
}

TEST_F(UpTest, BenchSaysWhatItCannotDo) {
  const auto complaint = [this](const std::vector<std::string>& flags) {
    std::vector<std::string> argv = {SwitchyardBinary(), "bench"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const ProgramResult result = Run(argv);
    EXPECT_EQ(result.code, 2);
    return result.err;
  };
  EXPECT_THAT(complaint({"--gateway", "127.0.0.1:1"}),
              HasSubstr("--layer is required"));
  EXPECT_THAT(complaint({"--layer", "moe", "--rate", "0"}),
              HasSubstr("--rate"));
  EXPECT_THAT(complaint({"--layer", "moe", "--rate", "5", "--sweep"}),
              HasSubstr("--rate excludes --sweep"));
  EXPECT_THAT(complaint({"--gateway", "127.0.0.1:1", "--layer", "moe", "--json",
                         "/no/such/folder/x"}),
              HasSubstr("cannot write /no/such/folder/x"));
}

// A gateway and two workers of the test's own.
class ClusterTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    std::string line;
    ASSERT_OK(Add({GatewayBinary(), "--lease-duration-ms", "400"}, line));
    gateway_ = Field(line, "grpc");
    for (const char* id : {"w0", "w1"}) {
      ASSERT_OK(Add({WorkerBinary(), "--gateway", gateway_, "--worker-id", id},
                    line));
    }
    ASSERT_TRUE(Eventually([&] { return Status()["workers"].size() == 2; }))
        << Cli({"status"}).out;
  }
  absl::Status Add(const std::vector<std::string>& argv, std::string& line) {
    SWITCHYARD_ASSIGN_OR_RETURN(ChildProcess child, StartReady(argv, line));
    children_.push_back(std::move(child));
    return absl::OkStatus();
  }
  ProgramResult Cli(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SwitchyardBinary());
    return Run(arguments, {absl::StrCat("SWITCHYARD_GATEWAY=", gateway_)});
  }
  nlohmann::json Status() {
    return nlohmann::json::parse(Cli({"status", "--json"}).out, nullptr,
                                 /*allow_exceptions=*/false);
  }

  std::string gateway_;
  std::vector<ChildProcess> children_;
};

TEST_F(ClusterTest, AKilledWorkerShowsAsLostWithAReason) {
  const std::string spec = WriteFile("spec.textproto", kSpec);
  ASSERT_EQ(Cli({"layer", "create", "--file", spec}).code, 0);
  children_[2].Signal(SIGKILL);
  ASSERT_TRUE(
      Eventually([&] { return Status()["workers"][1]["state"] == "LOST"; }));
  const nlohmann::json status = Status();
  EXPECT_EQ(status["workers"][0]["state"], "UP");
  EXPECT_NE(status["workers"][1]["state_reason"], "");
  EXPECT_EQ(status["layers"][0]["state"], "LOST_EXPERTS");
  EXPECT_NE(status["layers"][0]["state_reason"], "");
  const ProgramResult text = Cli({"status"});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("1 of 2 workers up"), HasSubstr("LOST"),
                              HasSubstr("lost")));
}

TEST_F(ClusterTest, AWorkerThatIsStoppedSaysGoodbye) {
  children_[1].Signal(SIGTERM);
  EXPECT_EQ(WaitForCode(children_[1]), 0);
  EXPECT_EQ(Status()["workers"][0]["state"], "LEFT");
}

TEST_F(ClusterTest, ErrorsOfCallsAreTheServersWithTheirCode) {
  const ProgramResult unknown = Cli({"call", "GetLayer", R"({"layer":"no"})"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, ::testing::StartsWith("NOT_FOUND: "));
  const ProgramResult method = Cli({"call", "Sideways"});
  EXPECT_EQ(method.code, 2);
  EXPECT_THAT(method.err, HasSubstr("METHOD: got 'Sideways', expected one of "
                                    "CreateLayer"));
  const ProgramResult json = Cli({"call", "GetLayer", R"({"lair":1})"});
  EXPECT_EQ(json.code, 2);
  EXPECT_THAT(json.err, HasSubstr("lair"));
}

TEST_F(ClusterTest, CallsTakeTheirRequestFromAFileOrStandardInput) {
  const std::string spec = WriteFile("spec.json",
                                     R"({"name":"a","hiddenSize":4,
    "numExperts":2,"expert":{"linear":{}}})");
  ASSERT_EQ(Cli({"layer", "create", "--file", spec}).code, 0);
  const std::string request = WriteFile("request.json", R"({"layer":"a"})");
  const ProgramResult from_file =
      Cli({"call", "GetPlacement", absl::StrCat("@", request)});
  EXPECT_EQ(from_file.code, 0) << from_file.err;
  EXPECT_THAT(from_file.out, HasSubstr("\"workerIds\": [\"w0\"]"));
  const ProgramResult from_input =
      RunShell(absl::StrCat("\"$SWITCHYARD\" call --gateway ", gateway_,
                            " GetPlacement - < ", request));
  EXPECT_EQ(from_input.out, from_file.out);
}

TEST_F(ClusterTest, AWrongDescriptionOfALayerIsExplained) {
  const std::string typo =
      WriteFile("typo.textproto", "name: 'a'\nhidden_sighs: 4\n");
  const ProgramResult misread = Cli({"layer", "create", "--file", typo});
  EXPECT_EQ(misread.code, 2);
  EXPECT_THAT(misread.err, HasSubstr("line 2, column 13"));
  const std::string small = WriteFile(
      "small.json", R"({"name":"a","numExperts":2,"expert":{"linear":{}}})");
  const ProgramResult refused = Cli({"layer", "create", "--file", small});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("hidden_size"));
}

TEST_F(ClusterTest, AnOpenModelIsImportedCalledAndExported) {
  const std::string mixtral = absl::StrCat(SWITCHYARD_FAMILIES_DIR, "/mixtral");
  const ProgramResult imported = Cli({"layer", "import", mixtral, "--layers",
                                      "model.layers.1.*", "--name", "m/"});
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_THAT(imported.out,
              AllOf(HasSubstr("imported 1 layer of family mixtral"),
                    HasSubstr("m/model.layers.1.block_sparse_moe"),
                    HasSubstr("--import-root is not set")));
  const nlohmann::json layer = Status()["layers"][0];
  EXPECT_EQ(layer["state"], "SERVING");
  EXPECT_EQ(layer["expert_kind"], "gated 16-12-16");

  const std::string out = WriteFile("unused", "") + ".export";
  const ProgramResult exported = Cli({"layer", "export", out});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr("13 tensors"));
  const ProgramResult again = Cli({"layer", "export", out});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("expected a folder without a model"));

  const ProgramResult taken = Cli({"layer", "import", mixtral, "--layers",
                                   "model.layers.1.*", "--name", "m/"});
  EXPECT_EQ(taken.code, 1);
  EXPECT_THAT(taken.err, HasSubstr("expected a name not in use"));
  const ProgramResult nowhere = Cli({"layer", "import", "/no/such/model"});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("/no/such/model"));
}

class StatusTest : public ProgramTest {};

TEST_F(StatusTest, AGatewayThatIsNotThereIsAClearFailure) {
  const ProgramResult result =
      Run({SwitchyardBinary(), "status", "--gateway", "127.0.0.1:1"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("switchyard status: cannot reach the "
                                    "gateway at 127.0.0.1:1"));
  EXPECT_EQ(result.out, "");
}

TEST_F(StatusTest, MistakesAreExplained) {
  struct Mistake {
    std::vector<std::string> arguments;
    std::string message;
  };
  for (const Mistake& mistake : std::vector<Mistake>{
           {{"status"}, "--gateway: not given, nor SWITCHYARD_GATEWAY set"},
           {{"status", "--gateway", "x"}, "--gateway: got 'x', expected "},
           {{"status", "--max-experts", "-1"},
            "--max-experts: got '-1', expected an integer from 0 to 65536"},
           {{"up", "--workers", "0"},
            "--workers: got '0', expected an integer from 1 to 256"},
           {{"up", "--"}, "'--' is for"},
           {{"status", "--", "ls"}, "'--' is for"},
           {{"layer"}, "subcommand"},
           {{"layer", "get"}, "name"},
           {{"dance"}, "got 'dance', expected the name of a subcommand"},
           {{"layer", "dance"},
            "got 'dance', expected the name of a subcommand"},
           {{}, "subcommand"},
       }) {
    std::vector<std::string> argv = mistake.arguments;
    argv.insert(argv.begin(), SwitchyardBinary());
    const ProgramResult result = Run(argv);
    EXPECT_EQ(result.code, 2) << mistake.message;
    EXPECT_THAT(result.err, HasSubstr(mistake.message));
    EXPECT_EQ(result.out, "");
  }
}

}  // namespace
}  // namespace switchyard::testing
