#include "expert_worker/testing/reference_expert.h"

#include <cmath>
#include <cstddef>
#include <variant>

namespace switchyard::testing {
namespace {

// x W^T + b.
Doubles Linear(const Doubles& weight, const Doubles& bias, const Doubles& x) {
  Doubles y = bias;
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j)
      y[i] += weight[i * x.size() + j] * x[j];
  }
  return y;
}

}  // namespace

Doubles ToDoubles(absl::Span<const float> values) {
  return Doubles(values.begin(), values.end());
}

double ReferenceActivation(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

Doubles ReferenceExpert(const ExpertSpec& spec,
                        const std::vector<Doubles>& parameters,
                        const Doubles& x) {
  Doubles y = Linear(parameters[0], parameters[1], x);
  const auto* mlp = std::get_if<MlpExpertSpec>(&spec);
  if (mlp == nullptr) return y;
  for (double& v : y) v = ReferenceActivation(mlp->activation, v);
  return Linear(parameters[2], parameters[3], y);
}

}  // namespace switchyard::testing
