#include "expert_worker/store/stored_expert.h"

#include <algorithm>
#include <cstddef>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "expert_worker/compute/cpu/dot_product.h"

namespace switchyard {
namespace {

void ZeroAll(std::vector<Tensor>& tensors) {
  for (Tensor& tensor : tensors) {
    std::fill(tensor.values().begin(), tensor.values().end(), 0.0f);
  }
}

void CopyOut(const Tensor& tensor, int64_t offset, absl::Span<float> elements) {
  std::copy_n(tensor.data() + offset, elements.size(), elements.data());
}

void CopyIn(absl::Span<const float> elements, int64_t offset, Tensor& tensor) {
  std::copy_n(elements.data(), elements.size(), tensor.data() + offset);
}

}  // namespace

StoredExpert::StoredExpert(const LayerSpec& spec, int32_t expert_id)
    : expert_id_(expert_id) {
  MutexLock lock(gradient_mutex_);
  for (const ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
    values_.push_back(InitialParameter(parameter, spec.seed));
    gradients_.push_back(Tensor::Zeros(parameter.shape));
    optimizer_states_.push_back(
        MakeOptimizerState(spec.optimizer, parameter.shape));
  }
}

int64_t StoredExpert::size_bytes() const {
  MutexLock lock(gradient_mutex_);
  int64_t bytes = 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    bytes += values_[i].size_bytes() + gradients_[i].size_bytes() +
             optimizer_states_[i].size_bytes();
  }
  return bytes;
}

void StoredExpert::AccumulateGradients(const ExpertCompute& compute,
                                       const BackwardRows& rows) {
  MutexLock lock(gradient_mutex_);
  compute.Backward(values_, rows, absl::MakeSpan(gradients_));
}

double StoredExpert::SquaredGradientNorm() const {
  MutexLock lock(gradient_mutex_);
  double squared_norm = 0;
  for (const Tensor& gradient : gradients_) {
    squared_norm +=
        DotProduct(gradient.data(), gradient.data(), gradient.num_elements());
  }
  return squared_norm;
}

void StoredExpert::ZeroGradients() {
  MutexLock lock(gradient_mutex_);
  ZeroAll(gradients_);
}

void StoredExpert::Update(const OptimizerSpec& optimizer, float learning_rate,
                          int64_t step_number) {
  MutexLock lock(gradient_mutex_);
  for (size_t i = 0; i < values_.size(); ++i) {
    ApplyUpdate(optimizer, learning_rate, step_number, gradients_[i],
                values_[i], optimizer_states_[i]);
  }
  ZeroAll(gradients_);
}

void StoredExpert::Read(ParameterKind kind, int32_t parameter_idx,
                        int64_t offset, absl::Span<float> elements) const {
  const auto idx = static_cast<size_t>(parameter_idx);
  if (kind == ParameterKind::kValue) {
    CopyOut(values_[idx], offset, elements);
    return;
  }
  MutexLock lock(gradient_mutex_);
  CopyOut(gradients_[idx], offset, elements);
}

void StoredExpert::Write(ParameterKind kind, int32_t parameter_idx,
                         int64_t offset, absl::Span<const float> elements) {
  const auto idx = static_cast<size_t>(parameter_idx);
  if (kind == ParameterKind::kValue) {
    CopyIn(elements, offset, values_[idx]);
    return;
  }
  MutexLock lock(gradient_mutex_);
  CopyIn(elements, offset, gradients_[idx]);
}

}  // namespace switchyard
