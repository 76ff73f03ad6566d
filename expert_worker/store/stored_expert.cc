#include "expert_worker/store/stored_expert.h"

#include <algorithm>
#include <cstddef>
#include <variant>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "expert_worker/compute/cpu/dot_product.h"

namespace switchyard {
namespace {

// Elements of one piece of an update: 16 KiB a tensor stay in a core's cache.
constexpr int64_t kUpdateElements = 4096;
// Tensors that the optimizer keeps per parameter, as MakeOptimizerState.
int64_t NumMoments(const OptimizerSpec& optimizer) {
  const auto* sgd = std::get_if<SgdSpec>(&optimizer);
  if (sgd == nullptr) return 2;
  return sgd->momentum != 0 ? 1 : 0;
}

DType StorageDType(const LayerSpec& spec, const ParameterSpec& parameter) {
  return spec.int8_weights && parameter.shape.size() == 2 ? DType::kInt8
                                                          : parameter.dtype;
}

float* At(Tensor& tensor, int64_t offset) {
  return tensor.num_elements() == 0 ? nullptr : tensor.data() + offset;
}

// ApplyUpdate, which is element by element, piece by piece: what a piece has
// brought into the cache is used for all that is done to it. `gradient` is null
// where it is zero.
void UpdateByPieces(const OptimizerSpec& optimizer, float learning_rate,
                    int64_t step_number, const float* gradient,
                    StoredTensor& value, OptimizerState& state,
                    UpdateScratch& scratch) {
  const bool in_place = value.dtype() == DType::kFloat32;
  const int64_t num_stored = value.layout().num_stored();
  for (int64_t begin = 0; begin < num_stored; begin += kUpdateElements) {
    const int64_t n = std::min(kUpdateElements, num_stored - begin);
    const auto widened =
        scratch.value.values().subspan(0, static_cast<size_t>(n));
    if (!in_place) value.ReadStored(begin, widened);
    ApplyUpdate(
        optimizer, learning_rate, step_number,
        {.value = in_place ? value.floats().data() + begin : widened.data(),
         .gradient =
             gradient != nullptr ? gradient + begin : scratch.zeros.data(),
         .first_moment = At(state.first_moment, begin),
         .second_moment = At(state.second_moment, begin),
         .num_elements = n});
    if (!in_place) value.WriteStored(begin, widened);
  }
}

Shape StoredShape(const StoredTensor& value) {
  return {value.layout().num_stored()};
}

}  // namespace

StoredExpert::StoredExpert(const LayerSpec& spec, int32_t expert_id)
    : expert_id_(expert_id) {
  for (const ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
    StoredTensor& value =
        values_.emplace_back(parameter.shape, StorageDType(spec, parameter));
    value.Write(0, InitialParameter(parameter, spec.seed).values());
    if (spec.inference_only) continue;
    gradients_.push_back(Tensor::Uninitialized(StoredShape(value)));
    optimizer_states_.push_back(
        MakeOptimizerState(spec.optimizer, StoredShape(value)));
  }
}

int64_t StoredExpert::size_bytes() const {
  int64_t bytes = 0;
  for (const StoredTensor& value : values_) bytes += value.size_bytes();
  for (const Tensor& gradient : gradients_) bytes += gradient.size_bytes();
  for (const OptimizerState& state : optimizer_states_) {
    bytes += state.size_bytes();
  }
  return bytes;
}

int64_t StoredExpert::SizeBytes(const LayerSpec& spec, int32_t expert_id) {
  const int64_t float_copies =
      spec.inference_only ? 0 : 1 + NumMoments(spec.optimizer);
  int64_t bytes = 0;
  for (const ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
    bytes += StoredTensor::SizeBytes(parameter.shape,
                                     StorageDType(spec, parameter)) +
             float_copies *
                 StoredTensor::SizeBytes(parameter.shape, DType::kFloat32);
  }
  return bytes;
}

ExpertMaps StoredExpert::Maps() const {
  ExpertMaps maps;
  for (const StoredTensor& value : values_) {
    if (value.layout().in_panels()) {
      maps.push_back({.weight = value.weight()});
    } else {
      maps.back().bias = value.vector();
    }
  }
  return maps;
}

ExpertGradients StoredExpert::Gradients() {
  ExpertGradients gradients;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].layout().in_panels()) {
      gradients.push_back(
          {.weight = gradients_[i].data(), .accumulate = !gradients_are_zero_});
    } else {
      gradients.back().bias = gradients_[i].data();
    }
  }
  return gradients;
}

double StoredExpert::SquaredGradientNorm() const {
  if (gradients_are_zero_) return 0;
  double squared_norm = 0;
  for (const Tensor& gradient : gradients_) {
    squared_norm +=
        DotProduct(gradient.data(), gradient.data(), gradient.num_elements());
  }
  return squared_norm;
}

UpdateScratch StoredExpert::MakeUpdateScratch() {
  return {.value = Tensor::Uninitialized({kUpdateElements}),
          .zeros = Tensor::Zeros({kUpdateElements})};
}

void StoredExpert::Update(const OptimizerSpec& optimizer, float learning_rate,
                          int64_t step_number, UpdateScratch& scratch) {
  for (size_t i = 0; i < gradients_.size(); ++i) {
    UpdateByPieces(optimizer, learning_rate, step_number,
                   gradients_are_zero_ ? nullptr : gradients_[i].data(),
                   values_[i], optimizer_states_[i], scratch);
  }
  gradients_are_zero_ = true;
}

void StoredExpert::Read(ParameterKind kind, int32_t parameter_idx,
                        int64_t offset, absl::Span<float> elements) const {
  const auto idx = static_cast<size_t>(parameter_idx);
  const StoredTensor& value = values_[idx];
  if (kind == ParameterKind::kValue) return value.Read(offset, elements);
  if (gradients_are_zero_) {
    std::fill(elements.begin(), elements.end(), 0.0f);
    return;
  }
  value.layout().ForEachRun(
      offset, static_cast<int64_t>(elements.size()),
      [&](int64_t done, int64_t stored_idx, int64_t stride, int64_t n) {
        const float* from = gradients_[idx].data() + stored_idx;
        float* to = elements.data() + done;
        for (int64_t i = 0; i < n; ++i) to[i] = from[i * stride];
      });
}

void StoredExpert::Write(ParameterKind kind, int32_t parameter_idx,
                         int64_t offset, absl::Span<const float> elements) {
  const auto idx = static_cast<size_t>(parameter_idx);
  StoredTensor& value = values_[idx];
  if (kind == ParameterKind::kValue) return value.Write(offset, elements);
  if (gradients_are_zero_) {
    for (Tensor& gradient : gradients_) {
      std::fill(gradient.values().begin(), gradient.values().end(), 0.0f);
    }
    gradients_are_zero_ = false;
  }
  value.layout().ForEachRun(
      offset, static_cast<int64_t>(elements.size()),
      [&](int64_t done, int64_t stored_idx, int64_t stride, int64_t n) {
        const float* from = elements.data() + done;
        float* to = gradients_[idx].data() + stored_idx;
        for (int64_t i = 0; i < n; ++i) to[i * stride] = from[i];
      });
}

}  // namespace switchyard
