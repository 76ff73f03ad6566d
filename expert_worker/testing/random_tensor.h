#ifndef SWITCHYARD_EXPERT_WORKER_TESTING_RANDOM_TENSOR_H_
#define SWITCHYARD_EXPERT_WORKER_TESTING_RANDOM_TENSOR_H_

#include <cstdint>

#include "common/tensor/tensor.h"

namespace switchyard::testing {

// Uniform in (-1, 1); the same for the same shape and seed.
Tensor RandomTensor(const Shape& shape, uint64_t seed);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_EXPERT_WORKER_TESTING_RANDOM_TENSOR_H_
