#ifndef SWITCHYARD_BENCH_HARNESS_BENCH_PROGRAM_H_
#define SWITCHYARD_BENCH_HARNESS_BENCH_PROGRAM_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/harness/alternate.h"

namespace switchyard::bench {

// One benchmark of a program: reports one or more Figures.
struct Benchmark {
  // Its figures' names begin with it.
  std::string name;
  std::function<absl::Status(const AlternateOptions&)> run;
};

// What a benchmark program's main() returns. Flags: --only TEXT (benchmarks
// whose names contain it), --repeats N, --list. Exit code 1 where a benchmark
// failed to run, not where a target is missed; 2 for wrong flags. All
// benchmarks are run even where one fails.
int RunBenchProgram(int argc, char** argv,
                    const std::vector<Benchmark>& benchmarks,
                    AlternateOptions options = {});

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_HARNESS_BENCH_PROGRAM_H_
