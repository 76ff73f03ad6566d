// What a load run found, for people and for programs.
#ifndef SWITCHYARD_CLI_LOAD_LOAD_REPORT_H_
#define SWITCHYARD_CLI_LOAD_LOAD_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/load/load_run.h"

namespace switchyard {

struct OfferedLoad {
  // Requests per second; 0: closed loop.
  double rate_per_s = 0;
  LoadResult result;
};

// A table with a line for each run, then what failed and why, and whether the
// generator itself fell behind.
std::string FormatLoads(const std::vector<OfferedLoad>& loads);

// An array of objects: offered_per_s (null in the closed loop),
// answered_per_s, due, answered, failed {CODE: count}, started_late,
// never_started, p50_us, p99_us, p999_us, max_us, fairness, client_answered
// [clients].
nlohmann::json LoadsToJson(const std::vector<OfferedLoad>& loads);

// Whether the gateway answers less than it is offered: under 95 % of it, or
// some requests fail or could not even be started.
bool IsSaturated(const OfferedLoad& load);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_LOAD_LOAD_REPORT_H_
