#include "common/model/initialization.h"

#include <algorithm>
#include <cmath>

#include "common/random/philox.h"

namespace switchyard {

Tensor InitialParameter(const ParameterSpec& parameter, uint64_t seed) {
  Tensor value = Tensor::Uninitialized(parameter.shape);
  if (parameter.fan_in == 0) {
    std::fill(value.values().begin(), value.values().end(),
              parameter.initial_value);
    return value;
  }
  const float bound = 1.0f / std::sqrt(static_cast<float>(parameter.fan_in));
  const PhiloxStream random(MakePhiloxKey(seed, parameter.name), 0, 0);
  const int64_t num_elements = value.num_elements();
  for (int64_t i = 0; i < num_elements; i += 4) {
    const PhiloxBlock block = random.Block(static_cast<uint64_t>(i / 4));
    for (int64_t j = i; j < std::min(i + 4, num_elements); ++j) {
      const float u = ToOpenUnitInterval(block[static_cast<size_t>(j - i)]);
      value.data()[j] = bound * (2.0f * u - 1.0f);
    }
  }
  return value;
}

}  // namespace switchyard
