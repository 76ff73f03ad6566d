// SGD with momentum, Adam and AdamW, element by element in float32. Used by the
// workers for experts and by the gateway for the gate.
#ifndef SWITCHYARD_COMMON_OPTIMIZER_OPTIMIZER_H_
#define SWITCHYARD_COMMON_OPTIMIZER_OPTIMIZER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// The state of one parameter: momentum buffer (SGD) or first and second moments
// (Adam). Empty tensors where the optimizer has no use for them.
struct OptimizerState {
  Tensor first_moment;
  Tensor second_moment;

  int64_t size_bytes() const {
    return first_moment.size_bytes() + second_moment.size_bytes();
  }
};

// INVALID_ARGUMENT unless it is finite and not negative.
absl::Status CheckLearningRate(float learning_rate);

// Zeros, in the shape of the parameter.
OptimizerState MakeOptimizerState(const OptimizerSpec& spec,
                                  const Shape& shape);

// Some elements of a parameter with all that their update needs. Moments are
// null where the optimizer has no use for them.
struct UpdateElements {
  float* value = nullptr;
  const float* gradient = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  int64_t num_elements = 0;
};

// Applies one update to `value` in place. `step_number` counts from 1 and
// corrects Adam's bias. `gradient` has as many elements as `value`.
//
//   SGD (torch.optim.SGD): v = momentum v + g + decay p;  p -= lr v
//   Adam (Kingma and Ba, 2015, algorithm 1), decay added to g:
//     m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g^2
//     p -= lr / (1 - b1^t) * m / (sqrt(s) / sqrt(1 - b2^t) + eps)
//   AdamW (Loshchilov and Hutter, 2019): p *= 1 - lr decay first, g as it is.
void ApplyUpdate(const OptimizerSpec& spec, float learning_rate,
                 int64_t step_number, const Tensor& gradient, Tensor& value,
                 OptimizerState& state);
// The same for some of a parameter's elements.
void ApplyUpdate(const OptimizerSpec& spec, float learning_rate,
                 int64_t step_number, const UpdateElements& elements);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_OPTIMIZER_OPTIMIZER_H_
