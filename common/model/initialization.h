#ifndef SWITCHYARD_COMMON_MODEL_INITIALIZATION_H_
#define SWITCHYARD_COMMON_MODEL_INITIALIZATION_H_

#include <cstdint>

#include "common/model/parameters.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// A parameter's initial value: uniform in (-b, b) with b = 1/sqrt(fan_in), the
// default of torch.nn.Linear for weights and biases, or the constant that
// stands in its place. Depends on the layer's
// seed and the parameter's name alone, so the same description gives the same
// experts wherever they are placed.
Tensor InitialParameter(const ParameterSpec& parameter, uint64_t seed);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_INITIALIZATION_H_
