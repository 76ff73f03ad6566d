#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_DOT_PRODUCT_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_DOT_PRODUCT_H_

#include <cstdint>

namespace switchyard {

// sum of a[i] b[i], i in [0, num_elements), in double. Products of two floats
// are exact there. Order: lane l = i mod 8 sums its products by rising i, then
// the lanes are summed as ((0+4)+(2+6))+((1+5)+(3+7)).
double DotProduct(const float* a, const float* b, int64_t num_elements);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_DOT_PRODUCT_H_
