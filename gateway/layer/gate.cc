#include "gateway/layer/gate.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/model/initialization.h"
#include "common/tensor/float_formats.h"
#include "gateway/routing/gate_projection.h"
#include "gateway/routing/router_backward.h"

namespace switchyard {
namespace {

// GateParameters begins with it.
constexpr size_t kWeightIdx = 0;

std::vector<float> CopyRange(const Tensor& tensor, int64_t offset,
                             int64_t num_elements) {
  return std::vector<float>(tensor.data() + offset,
                            tensor.data() + offset + num_elements);
}

void RoundTo(DType dtype, absl::Span<float> values) {
  if (dtype == DType::kFloat32) return;
  for (float& value : values) {
    value = dtype == DType::kBFloat16 ? FromBFloat16(ToBFloat16(value))
                                      : FromFloat16(ToFloat16(value));
  }
}

void AddToRows(const Tensor& bias, Tensor& matrix) {
  for (int64_t i = 0; i < matrix.rows(); ++i) {
    float* row = matrix.row(i);
    for (int64_t j = 0; j < matrix.cols(); ++j) row[j] += bias.data()[j];
  }
}

void AddColumnSums(const Tensor& matrix, Tensor& sums) {
  for (int64_t i = 0; i < matrix.rows(); ++i) {
    const float* row = matrix.row(i);
    for (int64_t j = 0; j < matrix.cols(); ++j) sums.data()[j] += row[j];
  }
}

}  // namespace

Gate::Gate(const LayerSpec& spec)
    : spec_(spec), parameters_(GateParameters(spec)) {
  first_mix_idx_ = parameters_.size();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const ParameterSpec& parameter = parameters_[i];
    if (parameter.name == "gate.bias") {
      bias_idx_ = static_cast<int32_t>(i);
    } else if (parameter.name == "gate.score_correction_bias") {
      correction_bias_idx_ = static_cast<int32_t>(i);
    } else if (i != kWeightIdx) {
      first_mix_idx_ = std::min(first_mix_idx_, i);
    }
    values_.push_back(InitialParameter(parameter, spec.seed));
    RoundTo(parameter.dtype, values_.back().values());
    optimizer_states_.push_back(
        trains(i) ? MakeOptimizerState(spec.optimizer, parameter.shape)
                  : OptimizerState());
    gradients_.push_back(trains(i) ? Tensor::Zeros(parameter.shape) : Tensor());
  }
  packed_weight_ = PackedMatrix(values_[kWeightIdx]);
}

int64_t Gate::SizeBytes(const LayerSpec& spec) {
  // Value and its packed copy; gradient, two moments.
  const int64_t num_tensors = spec.inference_only ? 2 : 5;
  int64_t num_elements = 0;
  for (const ParameterSpec& parameter : GateParameters(spec)) {
    num_elements += parameter.num_elements();
  }
  return num_tensors * num_elements * static_cast<int64_t>(sizeof(float));
}

bool Gate::trains(size_t idx) const {
  return !spec_.inference_only && !parameters_[idx].constant;
}

RoutingDecision Gate::Route(ConstMatrix x, const GateInput& input) const {
  Tensor logits = GateLogits(x, input.draws.jitter, packed_weight_);
  if (bias_idx_ >= 0) {
    AddToRows(values_[static_cast<size_t>(bias_idx_)], logits);
  }
  RouterInput router;
  router.logits = logits;
  router.draws = &input.draws;
  router.used_tokens = &input.used_tokens;
  if (correction_bias_idx_ >= 0) {
    router.score_correction_bias =
        values_[static_cast<size_t>(correction_bias_idx_)].values();
  }
  router.tokens_per_sequence = input.tokens_per_sequence;
  router.step_expert_counts = input.step_routing.expert_counts;
  return RouteTokens(spec_, input.mode, router);
}

std::vector<const Tensor*> Gate::MixParameters() const {
  std::vector<const Tensor*> parameters;
  for (size_t i = first_mix_idx_; i < values_.size(); ++i) {
    parameters.push_back(&values_[i]);
  }
  return parameters;
}

std::optional<BranchWeights> Gate::Mix(ConstMatrix x) const {
  if (!spec_.dense_branch.has_value()) return std::nullopt;
  return MixBranch(spec_.dense_branch->mix, x, MixParameters());
}

void Gate::RouteBackward(ConstMatrix x, const Tensor& jitter,
                         const RoutingDecision& decision,
                         absl::Span<const float> weight_gradients,
                         float grad_aux_loss, Tensor& grad_x) {
  const Tensor grad_logits =
      LogitsGradient(spec_, decision, weight_gradients, grad_aux_loss);
  MutexLock lock(gradient_mutex_);
  GateProjectionBackward(x, jitter, values_[kWeightIdx], grad_logits,
                         gradients_[kWeightIdx], grad_x);
  if (bias_idx_ >= 0) {
    AddColumnSums(grad_logits, gradients_[static_cast<size_t>(bias_idx_)]);
  }
}

void Gate::MixBackward(ConstMatrix x, const BranchWeights& weights,
                       const BranchWeightGradients& weight_gradients,
                       Tensor& grad_x) {
  MutexLock lock(gradient_mutex_);
  std::vector<Tensor*> gradients;
  for (size_t i = first_mix_idx_; i < gradients_.size(); ++i) {
    gradients.push_back(&gradients_[i]);
  }
  MixBranchBackward(spec_.dense_branch->mix, x, MixParameters(), weights,
                    weight_gradients, gradients, grad_x);
}

std::optional<std::string> Gate::NonFiniteGradient() const {
  MutexLock lock(gradient_mutex_);
  for (size_t i = 0; i < gradients_.size(); ++i) {
    if (FirstNonFinite(gradients_[i].values()) >= 0) return parameters_[i].name;
  }
  return std::nullopt;
}

double Gate::GradientSquaredNorm() const {
  MutexLock lock(gradient_mutex_);
  double sum = 0;
  for (const Tensor& gradient : gradients_) {
    for (const float g : gradient.values()) sum += double{g} * g;
  }
  return sum;
}

void Gate::Update(float learning_rate, int64_t step_number) {
  MutexLock lock(gradient_mutex_);
  for (size_t i = 0; i < values_.size(); ++i) {
    if (!trains(i)) continue;
    ApplyUpdate(spec_.optimizer, learning_rate, step_number, gradients_[i],
                values_[i], optimizer_states_[i]);
    RoundTo(parameters_[i].dtype, values_[i].values());
    std::fill(gradients_[i].values().begin(), gradients_[i].values().end(),
              0.0f);
  }
  packed_weight_ = PackedMatrix(values_[kWeightIdx]);
}

void Gate::UpdateCorrectionBias(absl::Span<const int64_t> expert_counts) {
  if (correction_bias_idx_ < 0 || spec_.gate.bias_update_rate == 0) return;
  const size_t idx = static_cast<size_t>(correction_bias_idx_);
  const absl::Span<float> bias = values_[idx].values();
  int64_t sum = 0;
  for (const int64_t count : expert_counts) sum += count;
  for (size_t e = 0; e < expert_counts.size(); ++e) {
    // The sign of mean - count, in whole numbers.
    const int64_t scaled =
        expert_counts[e] * static_cast<int64_t>(expert_counts.size());
    if (scaled < sum) bias[e] += spec_.gate.bias_update_rate;
    if (scaled > sum) bias[e] -= spec_.gate.bias_update_rate;
  }
  RoundTo(parameters_[idx].dtype, bias);
}

void Gate::ZeroGradient() {
  MutexLock lock(gradient_mutex_);
  for (Tensor& gradient : gradients_) {
    std::fill(gradient.values().begin(), gradient.values().end(), 0.0f);
  }
}

std::vector<float> Gate::ReadValue(int32_t idx, int64_t offset,
                                   int64_t num_elements) const {
  return CopyRange(values_[static_cast<size_t>(idx)], offset, num_elements);
}

std::vector<float> Gate::ReadGradient(int32_t idx, int64_t offset,
                                      int64_t num_elements) const {
  const size_t i = static_cast<size_t>(idx);
  if (!trains(i)) {
    return std::vector<float>(static_cast<size_t>(num_elements), 0.0f);
  }
  MutexLock lock(gradient_mutex_);
  return CopyRange(gradients_[i], offset, num_elements);
}

void Gate::WriteValue(int32_t idx, int64_t offset,
                      absl::Span<const float> values) {
  const size_t i = static_cast<size_t>(idx);
  float* const to = values_[i].data() + offset;
  std::copy(values.begin(), values.end(), to);
  RoundTo(parameters_[i].dtype, absl::MakeSpan(to, values.size()));
  if (i == kWeightIdx) packed_weight_ = PackedMatrix(values_[kWeightIdx]);
}

}  // namespace switchyard
