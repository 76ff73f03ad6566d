#include "gateway/layer/gate.h"

#include <algorithm>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "gateway/routing/gate_projection.h"
#include "gateway/routing/router_backward.h"

namespace switchyard {
namespace {

std::vector<float> CopyRange(const Tensor& tensor, int64_t offset,
                             int64_t num_elements) {
  return std::vector<float>(tensor.data() + offset,
                            tensor.data() + offset + num_elements);
}

}  // namespace

Gate::Gate(const LayerSpec& spec)
    : spec_(spec),
      weight_(InitialParameter(GateParameters(spec)[0], spec.seed)),
      optimizer_state_(MakeOptimizerState(spec.optimizer, weight_.shape())),
      gradient_(Tensor::Zeros(weight_.shape())) {}

RoutingDecision Gate::Route(Mode mode, ConstMatrix x, const GateDraws& draws,
                            const std::vector<bool>& used_tokens) const {
  const Tensor logits = GateLogits(x, draws.jitter, weight_);
  return RouteTokens(spec_, mode, logits, draws, used_tokens);
}

void Gate::Backward(ConstMatrix x, const Tensor& jitter,
                    const RoutingDecision& decision,
                    absl::Span<const float> route_dots, float grad_aux_loss,
                    Tensor& grad_x) {
  const Tensor grad_logits =
      LogitsGradient(spec_, decision, route_dots, grad_aux_loss);
  MutexLock lock(gradient_mutex_);
  GateProjectionBackward(x, jitter, weight_, grad_logits, gradient_, grad_x);
}

double Gate::GradientSquaredNorm() const {
  MutexLock lock(gradient_mutex_);
  double sum = 0;
  for (const float g : gradient_.values()) sum += double{g} * g;
  return sum;
}

void Gate::Update(float learning_rate, int64_t step_number) {
  MutexLock lock(gradient_mutex_);
  ApplyUpdate(spec_.optimizer, learning_rate, step_number, gradient_, weight_,
              optimizer_state_);
  std::fill(gradient_.values().begin(), gradient_.values().end(), 0.0f);
}

void Gate::ZeroGradient() {
  MutexLock lock(gradient_mutex_);
  std::fill(gradient_.values().begin(), gradient_.values().end(), 0.0f);
}

std::vector<float> Gate::ReadWeight(int64_t offset,
                                    int64_t num_elements) const {
  return CopyRange(weight_, offset, num_elements);
}

std::vector<float> Gate::ReadGradient(int64_t offset,
                                      int64_t num_elements) const {
  MutexLock lock(gradient_mutex_);
  return CopyRange(gradient_, offset, num_elements);
}

void Gate::WriteWeight(int64_t offset, absl::Span<const float> values) {
  std::copy(values.begin(), values.end(), weight_.data() + offset);
}

}  // namespace switchyard
