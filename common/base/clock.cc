#include "common/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace switchyard {
namespace {

class RealClock final : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
};

int64_t SteadyNowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Clock& Clock::Real() {
  static RealClock* const clock = new RealClock;  // Never destroyed.
  return *clock;
}

Stopwatch::Stopwatch() : start_ns_(SteadyNowNs()) {}

int64_t Stopwatch::ElapsedUs() const {
  return (SteadyNowNs() - start_ns_) / 1000;
}

}  // namespace switchyard
