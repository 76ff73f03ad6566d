#include "expert_worker/compute/cpu/linear_map.h"

namespace switchyard {

void ApplyMap(const LinearMap& map, ConstMatrix x, PanelRange outputs, float* y,
              float* product_scratch) {
  MultiplyPanels(x, map.weight, outputs, /*accumulate=*/false, y,
                 product_scratch);
  if (map.bias == nullptr) return;
  const float* bias = map.bias + outputs.first * kPanelWidth;
  ForEachRowIn(outputs, x.num_rows, map.weight.num_outputs,
               [&](int64_t offset, int64_t num_columns) {
                 float* y_row = y + offset;
                 for (int64_t j = 0; j < num_columns; ++j) y_row[j] += bias[j];
               });
}

void AddMapGradient(ConstMatrix grad_y, ConstMatrix x, PanelRange outputs,
                    const LinearMapGradient& gradient, float* product_scratch) {
  WeightGradient(grad_y, x, outputs, gradient.accumulate, gradient.weight,
                 product_scratch);
  if (gradient.bias == nullptr) return;
  float* sums = gradient.bias + outputs.first * kPanelWidth;
  if (!gradient.accumulate) {
    std::fill(
        sums,
        gradient.bias + std::min((outputs.first + outputs.count) * kPanelWidth,
                                 grad_y.num_cols),
        0.0f);
  }
  ForEachRowIn(outputs, grad_y.num_rows, grad_y.num_cols,
               [&](int64_t offset, int64_t num_columns) {
                 const float* row = grad_y.data + offset;
                 for (int64_t j = 0; j < num_columns; ++j) sums[j] += row[j];
               });
}

PanelRange TakeBlocks(PanelRange& blocks, int64_t num_blocks) {
  const PanelRange taken = {
      blocks.first,
      std::clamp<int64_t>(num_blocks - blocks.first, 0, blocks.count)};
  blocks.first = std::max<int64_t>(blocks.first - num_blocks, 0);
  blocks.count -= taken.count;
  return taken;
}

}  // namespace switchyard
