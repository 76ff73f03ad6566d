#include "bench/harness/bench_program.h"

#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/figure.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

struct Flags {
  std::string only;
  bool list = false;
  int repeats = 0;
};

absl::Status ReadFlags(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (flag == "--list") {
      flags.list = true;
    } else if (flag == "--only" && value != nullptr) {
      flags.only = value;
      ++i;
    } else if (flag == "--repeats" && value != nullptr) {
      if (!absl::SimpleAtoi(value, &flags.repeats) || flags.repeats < 1) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--repeats: got '", value, "', expected an integer of at least 1"));
      }
      ++i;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "got '", flag, "', expected --list, --only TEXT or --repeats N"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

int RunBenchProgram(int argc, char** argv,
                    const std::vector<Benchmark>& benchmarks,
                    AlternateOptions options) {
  Flags flags;
  flags.repeats = options.repeats;
  if (const absl::Status status = ReadFlags(argc, argv, flags); !status.ok()) {
    Note("%s: %s", argv[0], std::string(status.message()).c_str());
    return 2;
  }
  options.repeats = flags.repeats;
  int code = 0;
  for (const Benchmark& benchmark : benchmarks) {
    if (!absl::StrContains(benchmark.name, flags.only)) continue;
    if (flags.list) {
      std::printf("%s\n", benchmark.name.c_str());
      continue;
    }
    const absl::Status status = benchmark.run(options);
    if (status.ok()) continue;
    Note("%s: failed: %s", benchmark.name.c_str(), status.ToString().c_str());
    code = 1;
  }
  return code;
}

}  // namespace switchyard::bench
