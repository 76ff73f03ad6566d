#include "common/optimizer/optimizer.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

void ApplySgd(const SgdSpec& sgd, float learning_rate, const Tensor& gradient,
              Tensor& value, OptimizerState& state) {
  const float* g = gradient.data();
  float* p = value.data();
  float* v = state.first_moment.data();
  const int64_t n = value.num_elements();
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

void ApplyAdam(const AdamSpec& adam, float learning_rate, int64_t step_number,
               const Tensor& gradient, Tensor& value, OptimizerState& state) {
  // Bias corrections in double: 1 - 0.999^t loses digits in float.
  const double t = static_cast<double>(step_number);
  const double correction1 = 1.0 - std::pow(double{adam.beta1}, t);
  const double correction2 = 1.0 - std::pow(double{adam.beta2}, t);
  const float step_size = static_cast<float>(learning_rate / correction1);
  const float root_correction2 = static_cast<float>(std::sqrt(correction2));
  const float l2_decay = adam.decoupled ? 0.0f : adam.weight_decay;
  const float shrink =
      adam.decoupled ? 1.0f - learning_rate * adam.weight_decay : 1.0f;

  const float* g = gradient.data();
  float* p = value.data();
  float* m = state.first_moment.data();
  float* s = state.second_moment.data();
  const int64_t n = value.num_elements();
  for (int64_t i = 0; i < n; ++i) {
    const float gradient_i = g[i] + l2_decay * p[i];
    m[i] = adam.beta1 * m[i] + (1.0f - adam.beta1) * gradient_i;
    s[i] = adam.beta2 * s[i] + (1.0f - adam.beta2) * gradient_i * gradient_i;
    const float denominator = std::sqrt(s[i]) / root_correction2 + adam.epsilon;
    p[i] = p[i] * shrink - step_size * m[i] / denominator;
  }
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
  if (const auto* sgd = std::get_if<SgdSpec>(&spec)) {
    ApplySgd(*sgd, learning_rate, gradient, value, state);
  } else {
    ApplyAdam(std::get<AdamSpec>(spec), learning_rate, step_number, gradient,
              value, state);
  }
}

}  // namespace switchyard
