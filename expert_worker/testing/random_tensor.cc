#include "expert_worker/testing/random_tensor.h"

#include "common/random/philox.h"

namespace switchyard::testing {

Tensor RandomTensor(const Shape& shape, uint64_t seed) {
  Tensor tensor = Tensor::Uninitialized(shape);
  const PhiloxStream random(MakePhiloxKey(seed, "testing"), 0, 0);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const uint32_t bits = random.Block(static_cast<uint64_t>(i))[0];
    tensor.data()[i] = 2.0f * ToOpenUnitInterval(bits) - 1.0f;
  }
  return tensor;
}

}  // namespace switchyard::testing
