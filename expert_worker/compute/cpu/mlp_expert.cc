#include "expert_worker/compute/cpu/mlp_expert.h"

#include <cstddef>

#include "expert_worker/compute/cpu/activation.h"
#include "expert_worker/compute/cpu/linear_map.h"

namespace switchyard {
namespace {

// Positions of the maps.
constexpr size_t kFc1 = 0;
constexpr size_t kFc2 = 1;

}  // namespace

MlpExpert::MlpExpert(const MlpExpertSpec& spec, int64_t hidden_size)
    : spec_(spec),
      num_hidden_panels_(NumPanels(hidden_size)),
      num_ffn_panels_(NumPanels(spec.ffn_size)),
      forward_stages_({{num_ffn_panels_, kPanelWidth * hidden_size},
                       {num_hidden_panels_, kPanelWidth * spec.ffn_size}}),
      backward_stages_({{num_ffn_panels_, kPanelWidth * hidden_size},
                        {2 * num_hidden_panels_ + num_ffn_panels_,
                         kPanelWidth * spec.ffn_size}}) {}

void MlpExpert::Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
                        const ForwardRows& rows, float* product_scratch) const {
  const int64_t num_rows = rows.x.num_rows;
  if (stage == 1) {
    const ConstMatrix hidden(rows.scratch, num_rows, spec_.ffn_size);
    return ApplyMap(maps[kFc2], hidden, blocks, rows.y, product_scratch);
  }
  ApplyMap(maps[kFc1], rows.x, blocks, rows.kept, product_scratch);
  ForEachRowIn(blocks, num_rows, spec_.ffn_size,
               [&](int64_t offset, int64_t num_columns) {
                 Activate(spec_.activation,
                          absl::MakeConstSpan(rows.kept + offset,
                                              static_cast<size_t>(num_columns)),
                          rows.scratch + offset);
               });
}

// Stage 0: through fc2 and the activation, block by block of ffn_size. Then the
// scratch is the activation's output, and what was kept the gradient of its
// input. Stage 1: the gradients of fc2, fc1 and x.
void MlpExpert::Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                         const BackwardRows& rows,
                         const ExpertGradients& gradients,
                         float* product_scratch) const {
  const int64_t num_rows = rows.x.num_rows;
  const ConstMatrix grad_y(rows.grad_y, num_rows, rows.x.num_cols);
  if (stage == 0) {
    MultiplyTransposed(grad_y, maps[kFc2].weight, blocks, /*accumulate=*/false,
                       rows.scratch, product_scratch);
    return ForEachRowIn(blocks, num_rows, spec_.ffn_size,
                        [&](int64_t offset, int64_t num_columns) {
                          ActivateBackward(
                              spec_.activation,
                              absl::MakeSpan(rows.kept + offset,
                                             static_cast<size_t>(num_columns)),
                              rows.scratch + offset);
                        });
  }
  const ConstMatrix hidden(rows.scratch, num_rows, spec_.ffn_size);
  const ConstMatrix grad_pre(rows.kept, num_rows, spec_.ffn_size);
  if (const PanelRange panels = TakeBlocks(blocks, num_hidden_panels_);
      panels.count > 0) {
    AddMapGradient(grad_y, hidden, panels, gradients[kFc2], product_scratch);
  }
  if (const PanelRange panels = TakeBlocks(blocks, num_ffn_panels_);
      panels.count > 0) {
    AddMapGradient(grad_pre, rows.x, panels, gradients[kFc1], product_scratch);
  }
  if (blocks.count == 0) return;
  MultiplyTransposed(grad_pre, maps[kFc1].weight, blocks, /*accumulate=*/false,
                     rows.grad_x, product_scratch);
}

}  // namespace switchyard
