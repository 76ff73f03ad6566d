#include "bench/harness/alternate.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

// Calls in one repeat are never more than this, however short each is.
constexpr int64_t kMaxCallsPerRepeat = 1'000'000;

// Seconds per call of `num_calls`.
absl::StatusOr<double> TimeCalls(const Side& side, int64_t num_calls) {
  const Stopwatch stopwatch;
  for (int64_t i = 0; i < num_calls; ++i) {
    if (const absl::Status status = side.call(); !status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(side.name, ": ", status.message()));
    }
  }
  return static_cast<double>(stopwatch.ElapsedUs()) * 1e-6 /
         static_cast<double>(num_calls);
}

// The first calls are slower than those that follow, so a side is asked for
// twice as many until they take a fair part of a repeat.
absl::StatusOr<int64_t> CallsPerRepeat(const Side& side,
                                       const AlternateOptions& options) {
  double seconds = 0;
  for (int i = 0; i < options.warmup_calls; ++i) {
    SWITCHYARD_ASSIGN_OR_RETURN(seconds, TimeCalls(side, 1));
  }
  const double wanted = absl::ToDoubleSeconds(options.time_per_repeat);
  int64_t num_calls = 1;
  while (seconds * static_cast<double>(num_calls) < wanted / 4 &&
         num_calls < kMaxCallsPerRepeat) {
    num_calls *= 2;
    SWITCHYARD_ASSIGN_OR_RETURN(seconds, TimeCalls(side, num_calls));
  }
  return std::clamp(static_cast<int64_t>(wanted / std::max(seconds, 1e-9)),
                    int64_t{1}, kMaxCallsPerRepeat);
}

}  // namespace

absl::StatusOr<std::vector<Samples>> Alternate(
    const std::vector<Side>& sides, const AlternateOptions& options) {
  if (options.repeats < 1 || options.warmup_calls < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("repeats, warmup_calls: got ", options.repeats, ", ",
                     options.warmup_calls, ", expected at least 1 of each"));
  }
  std::vector<int64_t> num_calls;
  for (const Side& side : sides) {
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t calls,
                                CallsPerRepeat(side, options));
    num_calls.push_back(calls);
  }
  std::vector<Samples> samples(sides.size());
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (size_t turn = 0; turn < sides.size(); ++turn) {
      const size_t idx = repeat % 2 == 0 ? turn : sides.size() - 1 - turn;
      SWITCHYARD_ASSIGN_OR_RETURN(const double seconds,
                                  TimeCalls(sides[idx], num_calls[idx]));
      samples[idx].push_back(seconds);
    }
  }
  return samples;
}

double Median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle]
                                : (values[middle - 1] + values[middle]) / 2;
}

double SpeedRatio(const Samples& subject, const Samples& base) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(subject.size(), base.size()); ++i) {
    ratios.push_back(base[i] / subject[i]);
  }
  return Median(std::move(ratios));
}

}  // namespace switchyard::bench
