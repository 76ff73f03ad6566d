#include "expert_worker/store/stored_expert.h"

#include <algorithm>
#include <cstddef>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "expert_worker/compute/cpu/dot_product.h"

namespace switchyard {
namespace {

// Elements of one piece of an update: 16 KiB a tensor stay in a core's cache.
constexpr int64_t kUpdateElements = 4096;
// Widened parameters begin at multiples of so many floats, as those of a Tensor
// do.
constexpr int64_t kAlignmentFloats = 16;

int64_t WideningFloats(const StoredTensor& value) {
  if (value.dtype() == DType::kFloat32) return 0;
  return (value.num_elements() + kAlignmentFloats - 1) / kAlignmentFloats *
         kAlignmentFloats;
}

// Copies where there is something: SGD keeps fewer moments than Adam.
void CopyPiece(const Tensor& from, int64_t from_offset, int64_t num_elements,
               Tensor& to, int64_t to_offset) {
  if (from.num_elements() == 0) return;
  std::copy_n(from.data() + from_offset, num_elements, to.data() + to_offset);
}

// ApplyUpdate, which is element by element, piece by piece. What a short last
// piece leaves in the rest of the scratch is computed with and thrown away.
void UpdateByPieces(const OptimizerSpec& optimizer, float learning_rate,
                    int64_t step_number, const Tensor& gradient,
                    StoredTensor& value, OptimizerState& state,
                    UpdateScratch& scratch) {
  for (int64_t begin = 0; begin < value.num_elements();
       begin += kUpdateElements) {
    const int64_t n = std::min(kUpdateElements, value.num_elements() - begin);
    const auto piece =
        scratch.value.values().subspan(0, static_cast<size_t>(n));
    value.Read(begin, piece);
    CopyPiece(gradient, begin, n, scratch.gradient, 0);
    CopyPiece(state.first_moment, begin, n, scratch.state.first_moment, 0);
    CopyPiece(state.second_moment, begin, n, scratch.state.second_moment, 0);
    ApplyUpdate(optimizer, learning_rate, step_number, scratch.gradient,
                scratch.value, scratch.state);
    value.Write(begin, piece);
    CopyPiece(scratch.state.first_moment, 0, n, state.first_moment, begin);
    CopyPiece(scratch.state.second_moment, 0, n, state.second_moment, begin);
  }
}

}  // namespace

StoredExpert::StoredExpert(const LayerSpec& spec, int32_t expert_id)
    : expert_id_(expert_id) {
  MutexLock lock(gradient_mutex_);
  for (const ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
    values_.emplace_back(InitialParameter(parameter, spec.seed),
                         parameter.dtype);
    if (spec.inference_only) continue;
    gradients_.push_back(Tensor::Zeros(parameter.shape));
    optimizer_states_.push_back(
        MakeOptimizerState(spec.optimizer, parameter.shape));
  }
}

int64_t StoredExpert::size_bytes() const {
  MutexLock lock(gradient_mutex_);
  int64_t bytes = 0;
  for (const StoredTensor& value : values_) bytes += value.size_bytes();
  for (const Tensor& gradient : gradients_) bytes += gradient.size_bytes();
  for (const OptimizerState& state : optimizer_states_) {
    bytes += state.size_bytes();
  }
  return bytes;
}

int64_t StoredExpert::widening_floats() const {
  int64_t floats = 0;
  for (const StoredTensor& value : values_) floats += WideningFloats(value);
  return floats;
}

ExpertValues StoredExpert::Values(absl::Span<float> scratch) const {
  ExpertValues values;
  for (const StoredTensor& value : values_) {
    const auto num_floats = static_cast<size_t>(WideningFloats(value));
    const size_t num_used =
        num_floats == 0 ? 0 : static_cast<size_t>(value.num_elements());
    values.push_back(value.Widened(scratch.subspan(0, num_used)));
    scratch.remove_prefix(num_floats);
  }
  return values;
}

void StoredExpert::AccumulateGradients(const ExpertCompute& compute,
                                       const ExpertValues& values,
                                       const BackwardRows& rows) {
  MutexLock lock(gradient_mutex_);
  compute.Backward(values, rows, absl::MakeSpan(gradients_));
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

UpdateScratch StoredExpert::MakeUpdateScratch(const OptimizerSpec& optimizer) {
  const Shape shape = {kUpdateElements};
  return {.value = Tensor::Zeros(shape),
          .gradient = Tensor::Zeros(shape),
          .state = MakeOptimizerState(optimizer, shape)};
}

void StoredExpert::Update(const OptimizerSpec& optimizer, float learning_rate,
                          int64_t step_number, UpdateScratch& scratch) {
  MutexLock lock(gradient_mutex_);
  for (size_t i = 0; i < gradients_.size(); ++i) {
    if (values_[i].dtype() == DType::kFloat32) {
      ApplyUpdate(optimizer, learning_rate, step_number, gradients_[i],
                  values_[i].floats(), optimizer_states_[i]);
    } else {
      UpdateByPieces(optimizer, learning_rate, step_number, gradients_[i],
                     values_[i], optimizer_states_[i], scratch);
    }
    std::fill(gradients_[i].values().begin(), gradients_[i].values().end(),
              0.0f);
  }
}

void StoredExpert::ZeroGradients() {
  MutexLock lock(gradient_mutex_);
  for (Tensor& gradient : gradients_) {
    std::fill(gradient.values().begin(), gradient.values().end(), 0.0f);
  }
}

void StoredExpert::Read(ParameterKind kind, int32_t parameter_idx,
                        int64_t offset, absl::Span<float> elements) const {
  const auto idx = static_cast<size_t>(parameter_idx);
  if (kind == ParameterKind::kValue) {
    values_[idx].Read(offset, elements);
    return;
  }
  MutexLock lock(gradient_mutex_);
  std::copy_n(gradients_[idx].data() + offset, elements.size(),
              elements.data());
}

void StoredExpert::Write(ParameterKind kind, int32_t parameter_idx,
                         int64_t offset, absl::Span<const float> elements) {
  const auto idx = static_cast<size_t>(parameter_idx);
  if (kind == ParameterKind::kValue) {
    values_[idx].Write(offset, elements);
    return;
  }
  MutexLock lock(gradient_mutex_);
  std::copy_n(elements.data(), elements.size(),
              gradients_[idx].data() + offset);
}

}  // namespace switchyard
