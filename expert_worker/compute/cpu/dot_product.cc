#include "expert_worker/compute/cpu/dot_product.h"

namespace switchyard {

double DotProduct(const float* a, const float* b, int64_t num_elements) {
  // Eight independent sums, so that an addition need not wait for the last.
  constexpr int64_t kLanes = 8;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= num_elements; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      lanes[l] += double{a[i + l]} * double{b[i + l]};
    }
  }
  for (int64_t l = 0; i < num_elements; ++i, ++l) {
    lanes[l] += double{a[i]} * double{b[i]};
  }
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

}  // namespace switchyard
