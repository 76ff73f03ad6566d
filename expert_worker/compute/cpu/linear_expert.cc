#include "expert_worker/compute/cpu/linear_expert.h"

#include "expert_worker/compute/cpu/linear_map.h"

namespace switchyard {

LinearExpert::LinearExpert(int64_t hidden_size)
    : num_panels_(NumPanels(hidden_size)),
      forward_stages_({{num_panels_, kPanelWidth * hidden_size}}),
      backward_stages_({{2 * num_panels_, kPanelWidth * hidden_size}}) {}

void LinearExpert::Forward(int /*stage*/, PanelRange blocks,
                           const ExpertMaps& maps, const ForwardRows& rows,
                           float* product_scratch) const {
  ApplyMap(maps[0], rows.x, blocks, rows.y, product_scratch);
}

// The gradient of the weight, then that of x.
void LinearExpert::Backward(int /*stage*/, PanelRange blocks,
                            const ExpertMaps& maps, const BackwardRows& rows,
                            const ExpertGradients& gradients,
                            float* product_scratch) const {
  const ConstMatrix grad_y(rows.grad_y, rows.x.num_rows, rows.x.num_cols);
  if (const PanelRange panels = TakeBlocks(blocks, num_panels_);
      panels.count > 0) {
    AddMapGradient(grad_y, rows.x, panels, gradients[0], product_scratch);
  }
  if (blocks.count == 0) return;
  MultiplyTransposed(grad_y, maps[0].weight, blocks, /*accumulate=*/false,
                     rows.grad_x, product_scratch);
}

}  // namespace switchyard
