#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_BIAS_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_BIAS_H_

#include <cstdint>

#include "common/tensor/tensor.h"

namespace switchyard {

// Adds `bias` [1, cols] to each of the rows of `y` [num_rows, cols].
void AddBias(ConstMatrix bias, int64_t num_rows, float* y);

// grad_bias [cols] += the rows of `grad_y`, one after the other.
void AddBiasGradient(ConstMatrix grad_y, Tensor& grad_bias);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_BIAS_H_
