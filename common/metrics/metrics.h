// What gateway and worker metrics have in common. Names follow
// https://prometheus.io/docs/practices/naming; docs/metrics.md lists them all.
#ifndef SWITCHYARD_COMMON_METRICS_METRICS_H_
#define SWITCHYARD_COMMON_METRICS_METRICS_H_

#include <prometheus/histogram.h>

#include <cstdint>

namespace switchyard {

// Buckets from 50 us to about 26 s, each twice the one before: from a one-token
// call on loopback to the longest call that a default deadline lets live.
prometheus::Histogram::BucketBoundaries LatencyBucketsSeconds();

// Records a latency measured in microseconds.
inline void ObserveUs(prometheus::Histogram& histogram, int64_t latency_us) {
  histogram.Observe(static_cast<double>(latency_us) * 1e-6);
}

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_METRICS_METRICS_H_
