#ifndef SWITCHYARD_COMMON_OPTIMIZER_ADAM_KERNEL_H_
#define SWITCHYARD_COMMON_OPTIMIZER_ADAM_KERNEL_H_

#include <cstdint>

namespace switchyard {

// What Adam's update of an element depends on beside the element.
struct AdamCoefficients {
  float beta1 = 0;
  float beta2 = 0;
  float epsilon = 0;
  // Added to the gradient, times the value.
  float l2_decay = 0;
  // The value's factor, decoupled decay.
  float shrink = 1;
  // lr / (1 - b1^t) and sqrt(1 - b2^t).
  float step_size = 0;
  float root_correction2 = 1;
};

// Adam's update as optimizer.h gives it, element by element, on vectors of the
// best instruction set that the machine has (Highway). Every operation rounds
// by itself, so all of them give the same bits.
void ApplyAdam(const AdamCoefficients& coefficients, int64_t num_elements,
               const float* gradient, float* value, float* first_moment,
               float* second_moment);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_OPTIMIZER_ADAM_KERNEL_H_
