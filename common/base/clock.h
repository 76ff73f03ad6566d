#ifndef SWITCHYARD_COMMON_BASE_CLOCK_H_
#define SWITCHYARD_COMMON_BASE_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"

namespace switchyard {

// Where product code gets the time from, so that tests can set it.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;

  // The system's clock; lives as long as the process.
  static Clock& Real();
};

// Measures a span of wall time on the steady clock. Thread-compatible.
class Stopwatch {
 public:
  Stopwatch();
  int64_t ElapsedUs() const;

 private:
  int64_t start_ns_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_BASE_CLOCK_H_
