#include "services/main/flag_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A parser of one flag of each kind, with an environment and a file of its own.
class FlagParserTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = absl::StrCat(
        ::testing::TempDir(), "/flag_parser_test_",
        ::testing::UnitTest::GetInstance()->current_test_info()->name(),
        ".toml");
    parser_.AddInteger("num-threads", {1, 8}, "Threads", num_threads_);
    parser_.AddInteger("max-bytes", {0, int64_t{1} << 40}, "Bytes", max_bytes_);
    parser_.AddMilliseconds("wait-ms", {1, 1000}, "Time to wait", wait_);
    parser_.AddText("name", "NAME", "Name", name_,
                    [](const std::string& text, absl::string_view field) {
                      return CheckWorkerId(text, field);
                    });
    parser_.AddSwitch("fast", "Be fast", fast_);
  }
  void TearDown() override {
    for (const char* name :
         {"SWITCHYARD_NUM_THREADS", "SWITCHYARD_FAST", "SWITCHYARD_CONFIG"}) {
      unsetenv(name);
    }
    std::remove(path_.c_str());
  }
  void WriteFile(const std::string& text) { std::ofstream(path_) << text; }
  std::optional<FlagExit> Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "program");
    return parser_.Parse(static_cast<int>(arguments.size()), arguments.data());
  }
  // The message of a usage mistake; fails the test if there was none.
  std::string Mistake(std::vector<const char*> arguments) {
    const std::optional<FlagExit> flag_exit = Parse(std::move(arguments));
    EXPECT_TRUE(flag_exit.has_value());
    if (!flag_exit.has_value()) return "";
    EXPECT_EQ(flag_exit->code, 2);
    return flag_exit->message;
  }

  std::string path_;
  FlagParser parser_{"program", "Does things."};
  int num_threads_ = 4;
  int64_t max_bytes_ = 100;
  absl::Duration wait_ = absl::Milliseconds(20);
  std::string name_ = "w0";
  bool fast_ = false;
};

TEST_F(FlagParserTest, WithoutAnythingTheDefaultsStay) {
  EXPECT_FALSE(Parse({}).has_value());
  EXPECT_EQ(num_threads_, 4);
  EXPECT_EQ(max_bytes_, 100);
  EXPECT_EQ(wait_, absl::Milliseconds(20));
  EXPECT_EQ(name_, "w0");
  EXPECT_FALSE(fast_);
}

TEST_F(FlagParserTest, TakesEveryKindFromTheCommandLine) {
  EXPECT_FALSE(Parse({"--num-threads", "2", "--max-bytes=1000000000000",
                      "--wait-ms", "7", "--name", "w1", "--fast"})
                   .has_value());
  EXPECT_EQ(num_threads_, 2);
  EXPECT_EQ(max_bytes_, 1'000'000'000'000);
  EXPECT_EQ(wait_, absl::Milliseconds(7));
  EXPECT_EQ(name_, "w1");
  EXPECT_TRUE(fast_);
}

TEST_F(FlagParserTest, TakesEveryKindFromTheFile) {
  WriteFile(
      "# comment\nnum-threads = 3\nmax-bytes=5\nwait-ms = 9\n"
      "name = \"w2\"  # another\nfast = true\n");
  EXPECT_FALSE(Parse({"--config", path_.c_str()}).has_value());
  EXPECT_EQ(num_threads_, 3);
  EXPECT_EQ(max_bytes_, 5);
  EXPECT_EQ(wait_, absl::Milliseconds(9));
  EXPECT_EQ(name_, "w2");
  EXPECT_TRUE(fast_);
}

TEST_F(FlagParserTest, TheEnvironmentWinsOverTheFile) {
  WriteFile("num-threads = 3\n");
  setenv("SWITCHYARD_NUM_THREADS", "5", 1);
  setenv("SWITCHYARD_FAST", "1", 1);
  EXPECT_FALSE(Parse({"--config", path_.c_str()}).has_value());
  EXPECT_EQ(num_threads_, 5);
  EXPECT_TRUE(fast_);
}

TEST_F(FlagParserTest, TheCommandLineWinsOverTheEnvironment) {
  WriteFile("num-threads = 3\n");
  setenv("SWITCHYARD_NUM_THREADS", "5", 1);
  EXPECT_FALSE(
      Parse({"--num-threads", "6", "--config", path_.c_str()}).has_value());
  EXPECT_EQ(num_threads_, 6);
}

TEST_F(FlagParserTest, AnEmptyVariableIsNotGiven) {
  setenv("SWITCHYARD_NUM_THREADS", "", 1);
  EXPECT_FALSE(Parse({}).has_value());
  EXPECT_EQ(num_threads_, 4);
}

TEST_F(FlagParserTest, TheFileMayBeNamedByTheEnvironment) {
  WriteFile("num-threads = 3\n");
  setenv("SWITCHYARD_CONFIG", path_.c_str(), 1);
  EXPECT_FALSE(Parse({}).has_value());
  EXPECT_EQ(num_threads_, 3);
}

TEST_F(FlagParserTest, MistakesNameWhereTheValueCameFrom) {
  EXPECT_THAT(Mistake({"--num-threads", "0"}),
              StartsWith("program: --num-threads: got '0', expected an integer "
                         "from 1 to 8\n"));
  setenv("SWITCHYARD_NUM_THREADS", "many", 1);
  EXPECT_THAT(Mistake({}),
              StartsWith("program: SWITCHYARD_NUM_THREADS: got 'many', "
                         "expected an integer from 1 to 8\n"));
  unsetenv("SWITCHYARD_NUM_THREADS");
  WriteFile("num-threads = 9\n");
  EXPECT_THAT(Mistake({"--config", path_.c_str()}),
              StartsWith(absl::StrCat("program: ", path_,
                                      ": num-threads: got '9', expected an "
                                      "integer from 1 to 8\n")));
  WriteFile("");
  setenv("SWITCHYARD_FAST", "perhaps", 1);
  EXPECT_THAT(Mistake({}), HasSubstr("SWITCHYARD_FAST: got 'perhaps', "
                                     "expected true or false"));
}

TEST_F(FlagParserTest, RefusesUnknownFlagsAndLooseWords) {
  EXPECT_THAT(Mistake({"--threads", "2"}), HasSubstr("--threads"));
  EXPECT_THAT(Mistake({"word"}), HasSubstr("word"));
}

TEST_F(FlagParserTest, RefusesAFlagWithoutItsValueOrGivenTwice) {
  EXPECT_THAT(Mistake({"--num-threads"}), HasSubstr("--num-threads"));
  EXPECT_THAT(Mistake({"--num-threads", "2", "--num-threads", "3"}),
              HasSubstr("--num-threads"));
}

TEST_F(FlagParserTest, RefusesKeysThatAreNoFlags) {
  WriteFile("num_threads = 3\n");
  EXPECT_THAT(Mistake({"--config", path_.c_str()}),
              HasSubstr("got key 'num_threads', expected the name of a flag"));
  WriteFile("config = other.toml\n");
  EXPECT_THAT(Mistake({"--config", path_.c_str()}),
              HasSubstr("got key 'config'"));
}

TEST_F(FlagParserTest, RefusesSectionsAndLists) {
  WriteFile("[gateway]\nnum-threads = 3\n");
  EXPECT_THAT(Mistake({"--config", path_.c_str()}),
              HasSubstr("got section 'gateway'"));
  WriteFile("num-threads = 3\nnum-threads = 4\n");
  EXPECT_THAT(Mistake({"--config", path_.c_str()}),
              HasSubstr("num-threads: got '3 4', expected one value"));
}

TEST_F(FlagParserTest, RefusesAFileThatCannotBeRead) {
  EXPECT_THAT(Mistake({"--config", "/nonexistent.toml"}),
              HasSubstr("--config: got '/nonexistent.toml', expected a "
                        "readable file"));
}

TEST_F(FlagParserTest, HelpListsFlagsDefaultsAndTheOtherPlaces) {
  const std::optional<FlagExit> help = Parse({"--help"});
  ASSERT_TRUE(help.has_value());
  EXPECT_EQ(help->code, 0);
  EXPECT_THAT(help->message,
              AllOf(HasSubstr("Does things."), HasSubstr("--num-threads"),
                    HasSubstr("SWITCHYARD_LOG_LEVEL"), HasSubstr("--config")));
}

TEST_F(FlagParserTest, TellsItsVersion) {
  const std::optional<FlagExit> version = Parse({"--version"});
  ASSERT_TRUE(version.has_value());
  EXPECT_EQ(version->code, 0);
  EXPECT_EQ(version->message,
            absl::StrCat("program ", SWITCHYARD_VERSION, "\n"));
}

}  // namespace
}  // namespace switchyard
