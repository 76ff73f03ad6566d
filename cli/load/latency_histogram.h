#ifndef SWITCHYARD_CLI_LOAD_LATENCY_HISTOGRAM_H_
#define SWITCHYARD_CLI_LOAD_LATENCY_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace switchyard {

// How often each latency was seen, in bounded memory: buckets are 1/32 of a
// power of two wide (as HdrHistogram's), so a quantile is at most 3.2 % above
// the true one, never below. Unit: microseconds, 0 to 2^40 (12 days), what is
// beyond counts as that. Thread-compatible.
class LatencyHistogram {
 public:
  void Record(int64_t latency_us);
  // Adds all that the other has seen.
  void Merge(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  // The largest one itself; 0 of none.
  int64_t max_us() const { return max_us_; }
  // The smallest latency that at least `fraction` (0 to 1) of all do not
  // exceed; 0 of none.
  int64_t QuantileUs(double fraction) const;

 private:
  static constexpr int kBucketBits = 5;
  static constexpr int kMaxBits = 40;
  // Values below 2^kBucketBits have a bucket each.
  static constexpr size_t kNumBuckets = (kMaxBits - kBucketBits + 1)
                                        << kBucketBits;

  static size_t BucketOf(int64_t latency_us);
  // The largest latency in it.
  static int64_t UpperBoundUs(size_t bucket);

  std::array<int64_t, kNumBuckets> buckets_ = {};
  int64_t count_ = 0;
  int64_t max_us_ = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_LOAD_LATENCY_HISTOGRAM_H_
