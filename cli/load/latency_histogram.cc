#include "cli/load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace switchyard {

size_t LatencyHistogram::BucketOf(int64_t latency_us) {
  const auto value = static_cast<uint64_t>(
      std::clamp<int64_t>(latency_us, 0, (int64_t{1} << kMaxBits) - 1));
  if (value < (1u << kBucketBits)) return static_cast<size_t>(value);
  const int shift = std::bit_width(value) - 1 - kBucketBits;
  // The leading bit tells the octave, the kBucketBits after it the bucket.
  return static_cast<size_t>((static_cast<uint64_t>(shift) << kBucketBits) +
                             (value >> shift));
}

int64_t LatencyHistogram::UpperBoundUs(size_t bucket) {
  constexpr size_t kOctave = size_t{1} << kBucketBits;
  if (bucket < 2 * kOctave) return static_cast<int64_t>(bucket);
  const size_t shift = (bucket >> kBucketBits) - 1;
  const size_t leading = bucket - (shift << kBucketBits);
  return static_cast<int64_t>(((leading + 1) << shift) - 1);
}

void LatencyHistogram::Record(int64_t latency_us) {
  ++buckets_[BucketOf(latency_us)];
  ++count_;
  max_us_ = std::max(max_us_, latency_us);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < kNumBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_us_ = std::max(max_us_, other.max_us_);
}

int64_t LatencyHistogram::QuantileUs(double fraction) const {
  const auto wanted =
      static_cast<int64_t>(std::ceil(fraction * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t i = 0; i < kNumBuckets && count_ > 0; ++i) {
    seen += buckets_[i];
    if (seen >= std::max<int64_t>(wanted, 1)) {
      return std::min(UpperBoundUs(i), max_us_);
    }
  }
  return max_us_;
}

}  // namespace switchyard
