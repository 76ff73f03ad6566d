#ifndef SWITCHYARD_BENCH_HARNESS_ALTERNATE_H_
#define SWITCHYARD_BENCH_HARNESS_ALTERNATE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace switchyard::bench {

// One of the things that are timed against each other.
struct Side {
  std::string name;
  // One call of what is timed; an error ends the measurement.
  std::function<absl::Status()> call;
};

struct AlternateOptions {
  // At least 5 for a figure that is quoted.
  int repeats = 7;
  // Calls of each side before anything is timed, at least 1.
  int warmup_calls = 2;
  // A repeat calls its side until about this much time has gone.
  absl::Duration time_per_repeat = absl::Milliseconds(200);
};

// What one side took: seconds per call, one for each repeat.
using Samples = std::vector<double>;

// Times the sides in turns, in reverse order every other repeat, so that noise
// which comes and goes meets all of them. One Samples for each side.
// INVALID_ARGUMENT for options below 1; the first error of a side, with its
// name.
absl::StatusOr<std::vector<Samples>> Alternate(
    const std::vector<Side>& sides, const AlternateOptions& options = {});

// Of an even number of values, the mean of the middle two; NaN of none.
double Median(std::vector<double> values);

// The median of base[i] / subject[i]: how many times as fast as `base` the
// subject is. Both must have as many samples.
double SpeedRatio(const Samples& subject, const Samples& base);

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_HARNESS_ALTERNATE_H_
