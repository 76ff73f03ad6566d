#include "common/optimizer/optimizer.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/optimizer/adam_kernel.h"

namespace switchyard {
namespace {

void ApplySgd(const SgdSpec& sgd, float learning_rate,
              const UpdateElements& elements) {
  const float* g = elements.gradient;
  float* p = elements.value;
  float* v = elements.first_moment;
  const int64_t n = elements.num_elements;
  if (sgd.momentum == 0) {
    for (int64_t i = 0; i < n; ++i) {
      p[i] -= learning_rate * (g[i] + sgd.weight_decay * p[i]);
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    v[i] = sgd.momentum * v[i] + (g[i] + sgd.weight_decay * p[i]);
    p[i] -= learning_rate * v[i];
  }
}

AdamCoefficients CoefficientsOf(const AdamSpec& adam, float learning_rate,
                                int64_t step_number) {
  // Bias corrections in double: 1 - 0.999^t loses digits in float.
  const double t = static_cast<double>(step_number);
  const double correction1 = 1.0 - std::pow(double{adam.beta1}, t);
  const double correction2 = 1.0 - std::pow(double{adam.beta2}, t);
  return {.beta1 = adam.beta1,
          .beta2 = adam.beta2,
          .epsilon = adam.epsilon,
          .l2_decay = adam.decoupled ? 0.0f : adam.weight_decay,
          .shrink =
              adam.decoupled ? 1.0f - learning_rate * adam.weight_decay : 1.0f,
          .step_size = static_cast<float>(learning_rate / correction1),
          .root_correction2 = static_cast<float>(std::sqrt(correction2))};
}

}  // namespace

absl::Status CheckLearningRate(float learning_rate) {
  if (std::isfinite(learning_rate) && learning_rate >= 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "learning_rate: got ", learning_rate, ", expected a finite number >= 0"));
}

OptimizerState MakeOptimizerState(const OptimizerSpec& spec,
                                  const Shape& shape) {
  OptimizerState state;
  if (const auto* sgd = std::get_if<SgdSpec>(&spec)) {
    if (sgd->momentum != 0) state.first_moment = Tensor::Zeros(shape);
    return state;
  }
  state.first_moment = Tensor::Zeros(shape);
  state.second_moment = Tensor::Zeros(shape);
  return state;
}

void ApplyUpdate(const OptimizerSpec& spec, float learning_rate,
                 int64_t step_number, const Tensor& gradient, Tensor& value,
                 OptimizerState& state) {
  ApplyUpdate(spec, learning_rate, step_number,
              {.value = value.data(),
               .gradient = gradient.data(),
               .first_moment = state.first_moment.data(),
               .second_moment = state.second_moment.data(),
               .num_elements = value.num_elements()});
}

void ApplyUpdate(const OptimizerSpec& spec, float learning_rate,
                 int64_t step_number, const UpdateElements& elements) {
  if (const auto* sgd = std::get_if<SgdSpec>(&spec)) {
    ApplySgd(*sgd, learning_rate, elements);
  } else {
    ApplyAdam(
        CoefficientsOf(std::get<AdamSpec>(spec), learning_rate, step_number),
        elements.num_elements, elements.gradient, elements.value,
        elements.first_moment, elements.second_moment);
  }
}

}  // namespace switchyard
