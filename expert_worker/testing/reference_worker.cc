#include "expert_worker/testing/reference_worker.h"

#include <cstddef>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "common/tensor/float_formats.h"

namespace switchyard::testing {
namespace {

Doubles InitialValues(const ParameterSpec& parameter, uint64_t seed) {
  Tensor values = InitialParameter(parameter, seed);
  std::vector<char> bytes(
      static_cast<size_t>(values.num_elements() * SizeOf(parameter.dtype)));
  Narrow(values.values(), parameter.dtype, bytes.data());
  Widen(bytes.data(), parameter.dtype, values.values());
  return ToDoubles(values.values());
}

}  // namespace

ReferenceWorker::ReferenceWorker(const LayerSpec& spec) : spec_(spec) {
  for (int32_t expert_id = 0; expert_id < spec.num_hosted_experts();
       ++expert_id) {
    auto& expert = parameters_.emplace_back();
    for (const ParameterSpec& p : ExpertParameters(spec, expert_id)) {
      expert.push_back(InitialValues(p, spec.seed));
    }
  }
}

double ReferenceWorker::Weight(const ExpertForwardRequest& request,
                               size_t route) const {
  return weights_.empty() ? double{request.route_weights[route]}
                          : weights_[route];
}

Doubles ReferenceWorker::Output(const ExpertForwardRequest& request,
                                size_t route) const {
  const auto hidden = static_cast<size_t>(spec_.hidden_size);
  const auto token = static_cast<size_t>(request.route_tokens[route]);
  const Doubles all = x_.empty() ? ToDoubles(request.x.values()) : x_;
  const auto first = all.begin() + static_cast<int64_t>(token * hidden);
  Doubles input(first, first + spec_.hidden_size);
  if (spec_.gate.weight_application == WeightApplication::kInput) {
    for (double& v : input) v *= Weight(request, route);
  }
  const int32_t expert_id = request.route_experts[route];
  return ReferenceExpert(spec_.expert_of(expert_id),
                         parameters_[static_cast<size_t>(expert_id)], input);
}

Doubles ReferenceWorker::RouteOutputs(
    const ExpertForwardRequest& request) const {
  Doubles outputs;
  for (size_t route = 0; route < request.route_tokens.size(); ++route) {
    const Doubles output = Output(request, route);
    outputs.insert(outputs.end(), output.begin(), output.end());
  }
  return outputs;
}

Doubles ReferenceWorker::Forward(const ExpertForwardRequest& request) const {
  Doubles y(static_cast<size_t>(request.x.num_elements()), 0.0);
  const auto hidden = static_cast<size_t>(spec_.hidden_size);
  for (size_t route = 0; route < request.route_tokens.size(); ++route) {
    const Doubles output = Output(request, route);
    const auto token = static_cast<size_t>(request.route_tokens[route]);
    const double weight =
        spec_.gate.weight_application == WeightApplication::kInput
            ? 1.0
            : Weight(request, route);
    for (size_t j = 0; j < hidden; ++j) {
      y[token * hidden + j] += weight * output[j];
    }
  }
  return y;
}

double ReferenceWorker::Loss(const ExpertForwardRequest& request,
                             const Doubles& grad_y) const {
  const Doubles y = Forward(request);
  double loss = 0;
  for (size_t i = 0; i < y.size(); ++i) loss += grad_y[i] * y[i];
  return loss;
}

Doubles ReferenceWorker::Differentiate(Doubles& variables,
                                       const ExpertForwardRequest& request,
                                       const Doubles& grad_y) {
  // Rounding grows as 1/h, the formula's error as h^2: both about 1e-9 here.
  constexpr double kH = 1e-5;
  Doubles gradient;
  for (double& variable : variables) {
    const double value = variable;
    variable = value + kH;
    const double above = Loss(request, grad_y);
    variable = value - kH;
    const double below = Loss(request, grad_y);
    variable = value;
    gradient.push_back((above - below) / (2 * kH));
  }
  return gradient;
}

Doubles ReferenceWorker::GradX(const ExpertForwardRequest& request,
                               const Doubles& grad_y) {
  x_ = ToDoubles(request.x.values());
  Doubles gradient = Differentiate(x_, request, grad_y);
  x_.clear();
  return gradient;
}

Doubles ReferenceWorker::GradWeights(const ExpertForwardRequest& request,
                                     const Doubles& grad_y) {
  weights_ = ToDoubles(request.route_weights);
  Doubles gradient = Differentiate(weights_, request, grad_y);
  weights_.clear();
  return gradient;
}

Doubles ReferenceWorker::GradParameter(const ExpertForwardRequest& request,
                                       const Doubles& grad_y, int32_t expert_id,
                                       int32_t parameter_idx) {
  return Differentiate(parameters_[static_cast<size_t>(expert_id)]
                                  [static_cast<size_t>(parameter_idx)],
                       request, grad_y);
}

}  // namespace switchyard::testing
