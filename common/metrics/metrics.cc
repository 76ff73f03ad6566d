#include "common/metrics/metrics.h"

namespace switchyard {

prometheus::Histogram::BucketBoundaries LatencyBucketsSeconds() {
  prometheus::Histogram::BucketBoundaries boundaries;
  double boundary_seconds = 50e-6;
  for (int i = 0; i < 20; ++i) {
    boundaries.push_back(boundary_seconds);
    boundary_seconds *= 2;
  }
  return boundaries;
}

}  // namespace switchyard
