#include "bench/harness/figure.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace switchyard::bench {

bool Figure::Met() const {
  if (!std::isfinite(value)) return false;
  if (!target.has_value()) return true;
  return direction == Direction::kAtLeast ? value >= *target : value <= *target;
}

std::string ToJsonLine(const Figure& figure) {
  nlohmann::ordered_json json;
  json["name"] = figure.name;
  json["value"] = figure.value;
  json["unit"] = figure.unit;
  json["target"] = nullptr;
  json["direction"] =
      figure.direction == Direction::kAtLeast ? "at_least" : "at_most";
  json["met"] = nullptr;
  if (figure.target.has_value()) {
    json["target"] = *figure.target;
    json["met"] = figure.Met();
  }
  return json.dump();
}

void Report(const Figure& figure) {
  std::printf("%s\n", ToJsonLine(figure).c_str());
  std::fflush(stdout);
}

void Note(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
}

}  // namespace switchyard::bench
