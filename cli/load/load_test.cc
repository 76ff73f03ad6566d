#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "cli/load/latency_histogram.h"
#include "cli/load/load_report.h"
#include "cli/load/load_run.h"
#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

TEST(LatencyHistogramTest, OfNothingIsZero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.max_us(), 0);
  EXPECT_EQ(histogram.QuantileUs(0.5), 0);
}

TEST(LatencyHistogramTest, QuantilesAreAtMostAThirtySecondTooLarge) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> draw(7, 3);
  LatencyHistogram histogram;
  std::vector<int64_t> all;
  for (int i = 0; i < 20'000; ++i) {
    all.push_back(static_cast<int64_t>(draw(random)));
    histogram.Record(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double fraction : {0.0, 0.1, 0.5, 0.99, 0.999, 1.0}) {
    const auto rank = std::max<int64_t>(
        static_cast<int64_t>(std::ceil(fraction * 20'000)), 1);
    const int64_t exact = all[static_cast<size_t>(rank - 1)];
    const int64_t told = histogram.QuantileUs(fraction);
    EXPECT_GE(told, exact) << fraction;
    EXPECT_LE(told, exact + exact / 31) << fraction;
  }
  EXPECT_EQ(histogram.QuantileUs(1), all.back());
}

TEST(LatencyHistogramTest, TakesTheSmallestAndTheLargestLatency) {
  LatencyHistogram histogram;
  histogram.Record(0);
  EXPECT_EQ(histogram.QuantileUs(1), 0);
  histogram.Record(int64_t{1} << 50);
  EXPECT_EQ(histogram.max_us(), int64_t{1} << 50);
  EXPECT_EQ(histogram.QuantileUs(1), (int64_t{1} << 40) - 1);
}

TEST(LatencyHistogramTest, MergingIsRecordingInOne) {
  LatencyHistogram a;
  LatencyHistogram b;
  LatencyHistogram both;
  for (const int64_t us : {5, 70, 900}) {
    a.Record(us);
    both.Record(us);
  }
  b.Record(80'000);
  both.Record(80'000);
  a.Merge(b);
  EXPECT_EQ(a.count(), 4);
  for (const double fraction : {0.25, 0.5, 0.75, 1.0}) {
    EXPECT_EQ(a.QuantileUs(fraction), both.QuantileUs(fraction));
  }
}

TEST(ArrivalTimesTest, ArePoissonAndTheSameForTheSameSeed) {
  const std::vector<double> times = ArrivalTimes(1000, absl::Seconds(20), 7, 3);
  EXPECT_EQ(times, ArrivalTimes(1000, absl::Seconds(20), 7, 3));
  EXPECT_NE(times, ArrivalTimes(1000, absl::Seconds(20), 8, 3));
  EXPECT_NE(times, ArrivalTimes(1000, absl::Seconds(20), 7, 4));
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_LT(times.back(), 20);
  // Five standard deviations.
  EXPECT_NEAR(static_cast<double>(times.size()), 20'000, 5 * 141.4);
  // The gaps of a Poisson process are as wide on average as they vary.
  double sum = 0;
  double sum_of_squares = 0;
  for (size_t i = 1; i < times.size(); ++i) {
    const double gap = times[i] - times[i - 1];
    sum += gap;
    sum_of_squares += gap * gap;
  }
  const auto n = static_cast<double>(times.size() - 1);
  const double mean = sum / n;
  EXPECT_NEAR((sum_of_squares / n - mean * mean) / (mean * mean), 1, 0.1);
}

TEST(ArrivalTimesTest, NothingIsDueInTheClosedLoop) {
  EXPECT_TRUE(ArrivalTimes(0, absl::Seconds(1), 1, 0).empty());
}

TEST(RunLoadTest, RefusesWhatItCannotDo) {
  LoadOptions options;
  const auto refused = [&](absl::string_view field) {
    EXPECT_THAT(RunLoad(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr(std::string(field))));
    options = LoadOptions();
  };
  options.num_clients = 0;
  refused("num_clients: got 0");
  options.max_outstanding_per_client = 0;
  refused("max_outstanding_per_client: got 0");
  options.num_clients = 10'000;
  refused("num_clients * max_outstanding_per_client: got 40000");
  options.duration = absl::ZeroDuration();
  refused("duration: got 0");
  options.rate_per_s = -1;
  refused("rate_per_s: got -1");
  options.rate_per_s = 1e9;
  refused("rate_per_s: got 1e+09");
}

OfferedLoad SomeLoad() {
  OfferedLoad load;
  load.rate_per_s = 10;
  LoadResult& result = load.result;
  result.duration = absl::Seconds(2);
  result.elapsed = absl::Seconds(2);
  result.due = 21;
  result.answered = 20;
  result.clients = {{.answered = 15, .failed = 0},
                    {.answered = 5, .failed = 1}};
  result.failed[absl::StatusCode::kUnavailable] = 1;
  result.messages[absl::StatusCode::kUnavailable] = "gone";
  for (int64_t us = 1000; us <= 20'000; us += 1000) result.latency.Record(us);
  return load;
}

TEST(LoadReportTest, FairnessIsJainsIndex) {
  LoadResult result;
  EXPECT_EQ(result.Fairness(), 1);
  result.clients = {{.answered = 7, .failed = 0}, {.answered = 7, .failed = 0}};
  EXPECT_EQ(result.Fairness(), 1);
  result.clients[1].answered = 0;
  EXPECT_EQ(result.Fairness(), 0.5);
}

TEST(LoadReportTest, SaysWhatFailedAndHowClientsFared) {
  const std::string text = FormatLoads({SomeLoad()});
  EXPECT_THAT(text, HasSubstr("10.0"));
  EXPECT_THAT(text, HasSubstr("5/15/15"));
  EXPECT_THAT(text, HasSubstr("0.800"));
  EXPECT_THAT(text, HasSubstr("1 x UNAVAILABLE, e.g. gone"));
}

TEST(LoadReportTest, SaysWhenTheGeneratorItselfFellBehind) {
  OfferedLoad load = SomeLoad();
  EXPECT_THAT(FormatLoads({load}), Not(HasSubstr("started late")));
  load.result.started_late = 2;
  EXPECT_THAT(FormatLoads({load}),
              HasSubstr("of 21 requests 2 started late and 0 not"));
}

TEST(LoadReportTest, JsonHasEveryFigure) {
  const nlohmann::json json = LoadsToJson({SomeLoad(), OfferedLoad()});
  EXPECT_EQ(json[0]["offered_per_s"], 10);
  EXPECT_EQ(json[0]["answered_per_s"], 10);
  EXPECT_EQ(json[0]["failed"]["UNAVAILABLE"], 1);
  EXPECT_EQ(json[0]["max_us"], 20'000);
  EXPECT_EQ(json[0]["client_answered"], (std::vector<int64_t>{15, 5}));
  EXPECT_TRUE(json[1]["offered_per_s"].is_null());
}

TEST(LoadReportTest, SaturationIsWhereAnswersFallBehind) {
  OfferedLoad load = SomeLoad();
  EXPECT_TRUE(IsSaturated(load)) << "one failed";
  load.result.failed.clear();
  load.result.due = 20;
  EXPECT_FALSE(IsSaturated(load));
  load.result.elapsed = absl::Seconds(2.3);
  EXPECT_TRUE(IsSaturated(load)) << "answers were still coming";
  load.result.elapsed = absl::Seconds(2);
  load.result.never_started = 1;
  EXPECT_TRUE(IsSaturated(load));
}

}  // namespace
}  // namespace switchyard
