#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/harness/alternate.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "common/base/status_testing.h"

namespace switchyard::bench {
namespace {

using ::testing::HasSubstr;

TEST(Median, IsTheMiddleValueOrTheMeanOfTheMiddleTwo) {
  EXPECT_EQ(Median({5, 1, 3}), 3);
  EXPECT_EQ(Median({4, 1, 3, 100}), 3.5);
  EXPECT_TRUE(std::isnan(Median({})));
}

TEST(SpeedRatio, IsTheMedianOfPairedRatiosSoThatDriftCancels) {
  // The machine became ten times slower half way; the subject is twice as fast
  // throughout.
  EXPECT_EQ(SpeedRatio({1, 10, 10}, {2, 20, 20}), 2);
}

std::vector<Side> Recorders(std::string& order) {
  std::vector<Side> sides;
  for (const char name : {'a', 'b'}) {
    sides.push_back({std::string(1, name), [&order, name] {
                       order += name;
                       return absl::OkStatus();
                     }});
  }
  return sides;
}

TEST(Alternate, TakesTurnsAndReversesThemEveryOtherRepeat) {
  std::string order;
  AlternateOptions options;
  options.repeats = 3;
  options.warmup_calls = 1;
  options.time_per_repeat = absl::ZeroDuration();
  ASSERT_OK_AND_ASSIGN(const auto samples,
                       Alternate(Recorders(order), options));
  EXPECT_EQ(order,
            "ab"
            "ab"
            "ba"
            "ab");
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].size(), 3u);
  EXPECT_EQ(samples[1].size(), 3u);
}

TEST(Alternate, EndsWithTheErrorOfASideUnderItsName) {
  const absl::Status status =
      Alternate({{"ours", [] { return absl::UnavailableError("gone"); }}})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ours: gone"));
}

TEST(Alternate, RefusesFewerThanOneRepeat) {
  AlternateOptions options;
  options.repeats = 0;
  EXPECT_EQ(Alternate({}, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Figure, KnowsWhetherItsTargetIsMetInEitherDirection) {
  EXPECT_TRUE((Figure{"a", 1.2, "ratio", 1.2, Direction::kAtLeast}).Met());
  EXPECT_FALSE((Figure{"a", 1.1, "ratio", 1.2, Direction::kAtLeast}).Met());
  EXPECT_TRUE((Figure{"a", 0.3, "ratio", 0.3, Direction::kAtMost}).Met());
  EXPECT_FALSE((Figure{"a", 0.4, "ratio", 0.3, Direction::kAtMost}).Met());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE((Figure{"a", nan, "ratio", 0.3, Direction::kAtMost}).Met());
}

TEST(Figure, IsOneLineOfJson) {
  const std::string line =
      ToJsonLine({"wire/x", 0.5, "ratio", 0.8, Direction::kAtLeast});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["name"], "wire/x");
  EXPECT_EQ(json["value"], 0.5);
  EXPECT_EQ(json["target"], 0.8);
  EXPECT_EQ(json["direction"], "at_least");
  EXPECT_EQ(json["met"], false);
}

TEST(Figure, WithoutATargetHasNoVerdict) {
  const auto json = nlohmann::json::parse(ToJsonLine({"x", 12, "tokens/s"}));
  EXPECT_TRUE(json["target"].is_null());
  EXPECT_TRUE(json["met"].is_null());
}

int RunWith(std::vector<std::string> arguments, std::string& ran) {
  arguments.insert(arguments.begin(), "bench");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  const auto record = [&ran](const std::string& name, absl::Status status) {
    return [&ran, name, status](const AlternateOptions& options) {
      ran += name + std::to_string(options.repeats) + " ";
      return status;
    };
  };
  return RunBenchProgram(static_cast<int>(argv.size()), argv.data(),
                         {{"x/bad", record("bad", absl::InternalError("no"))},
                          {"x/good", record("good", absl::OkStatus())}});
}

TEST(BenchProgram, RunsAllEvenWhereOneFails) {
  std::string ran;
  EXPECT_EQ(RunWith({"--repeats", "9"}, ran), 1);
  EXPECT_EQ(ran, "bad9 good9 ");
}

TEST(BenchProgram, RunsOnlyWhatIsAskedFor) {
  std::string ran;
  EXPECT_EQ(RunWith({"--only", "good"}, ran), 0);
  EXPECT_EQ(ran, "good7 ");
}

TEST(BenchProgram, ListsWithoutRunning) {
  std::string ran;
  EXPECT_EQ(RunWith({"--list"}, ran), 0);
  EXPECT_EQ(ran, "");
}

TEST(BenchProgram, RefusesWrongFlags) {
  std::string ran;
  EXPECT_EQ(RunWith({"--repeats", "0"}, ran), 2);
  EXPECT_EQ(RunWith({"--only"}, ran), 2);
  EXPECT_EQ(RunWith({"--fast"}, ran), 2);
  EXPECT_EQ(ran, "");
}

}  // namespace
}  // namespace switchyard::bench
