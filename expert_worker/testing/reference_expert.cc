#include "expert_worker/testing/reference_expert.h"

#include <cmath>
#include <cstddef>
#include <variant>

namespace switchyard::testing {
namespace {

// Takes an expert's parameters one linear map after the other.
class LinearMaps {
 public:
  LinearMaps(const std::vector<Doubles>& parameters, bool bias)
      : parameters_(parameters), bias_(bias) {}

  // x W^T + b of the next map.
  Doubles Apply(const Doubles& x) {
    const Doubles& weight = parameters_[next_++];
    Doubles y(weight.size() / x.size(), 0.0);
    if (bias_) y = parameters_[next_++];
    for (size_t i = 0; i < y.size(); ++i) {
      for (size_t j = 0; j < x.size(); ++j) {
        y[i] += weight[i * x.size() + j] * x[j];
      }
    }
    return y;
  }

 private:
  const std::vector<Doubles>& parameters_;
  const bool bias_;
  size_t next_ = 0;
};

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

double ReferenceGatedProduct(const GatedExpertSpec& spec, double gate,
                             double up) {
  if (!spec.clamp.has_value()) {
    return ReferenceActivation(spec.activation, gate) * up;
  }
  const double limit = spec.clamp->limit;
  const double g = gate < limit ? gate : limit;
  const double u = up < -limit ? -limit : (up > limit ? limit : up);
  return (u + 1) * g / (1 + std::exp(-double{spec.clamp->alpha} * g));
}

Doubles ReferenceExpert(const ExpertSpec& spec,
                        const std::vector<Doubles>& parameters,
                        const Doubles& x) {
  if (const auto* gated = std::get_if<GatedExpertSpec>(&spec)) {
    LinearMaps maps(parameters, gated->bias);
    Doubles hidden = maps.Apply(x);
    const Doubles up = maps.Apply(x);
    for (size_t i = 0; i < up.size(); ++i) {
      hidden[i] = ReferenceGatedProduct(*gated, hidden[i], up[i]);
    }
    return maps.Apply(hidden);
  }
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&spec)) {
    LinearMaps maps(parameters, mlp->bias);
    Doubles hidden = maps.Apply(x);
    for (double& v : hidden) v = ReferenceActivation(mlp->activation, v);
    return maps.Apply(hidden);
  }
  if (const auto* linear = std::get_if<LinearExpertSpec>(&spec)) {
    return LinearMaps(parameters, linear->bias).Apply(x);
  }
  return x;
}

}  // namespace switchyard::testing
