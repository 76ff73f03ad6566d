#ifndef SWITCHYARD_BENCH_HARNESS_FIGURE_H_
#define SWITCHYARD_BENCH_HARNESS_FIGURE_H_

#include <optional>
#include <string>

namespace switchyard::bench {

enum class Direction { kAtLeast, kAtMost };

// One number that a benchmark found, and what it has to reach.
struct Figure {
  // Unique over all benchmarks: "program/what", e.g. "wire/forward_1mib".
  std::string name;
  double value = 0;
  // "ratio", "tokens/s", "us", "bytes", ...
  std::string unit = "ratio";
  // Absent: told for information, without a verdict.
  std::optional<double> target;
  Direction direction = Direction::kAtLeast;

  // False for a value that is no number; true without a target.
  bool Met() const;
};

// One line of JSON: name, value, unit, target, direction, met. A value that is
// no number, or an absent target, is null; without a target so is met.
std::string ToJsonLine(const Figure& figure);

// The JSON line on standard output, where ./bench.sh reads it.
void Report(const Figure& figure);

// printf to standard error, for people, with a newline.
void Note(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_HARNESS_FIGURE_H_
