#include "expert_worker/compute/cpu/gated_expert.h"

#include <cstddef>

#include "expert_worker/compute/cpu/gated_product.h"
#include "expert_worker/compute/cpu/linear_map.h"

namespace switchyard {
namespace {

// Positions of the maps.
constexpr size_t kGate = 0;
constexpr size_t kUp = 1;
constexpr size_t kDown = 2;

}  // namespace

GatedExpert::GatedExpert(const GatedExpertSpec& spec, int64_t hidden_size)
    : spec_(spec),
      num_hidden_panels_(NumPanels(hidden_size)),
      num_ffn_panels_(NumPanels(spec.ffn_size)),
      forward_stages_({{num_ffn_panels_, 2 * kPanelWidth * hidden_size},
                       {num_hidden_panels_, kPanelWidth * spec.ffn_size}}),
      backward_stages_({{num_ffn_panels_, kPanelWidth * hidden_size},
                        {2 * (num_hidden_panels_ + num_ffn_panels_),
                         kPanelWidth * spec.ffn_size}}) {}

void GatedExpert::Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
                          const ForwardRows& rows,
                          float* product_scratch) const {
  const int64_t num_rows = rows.x.num_rows;
  if (stage == 1) {
    const ConstMatrix h(rows.scratch, num_rows, spec_.ffn_size);
    return ApplyMap(maps[kDown], h, blocks, rows.y, product_scratch);
  }
  float* gate = rows.kept;
  float* up = rows.kept + num_rows * spec_.ffn_size;
  ApplyMap(maps[kGate], rows.x, blocks, gate, product_scratch);
  ApplyMap(maps[kUp], rows.x, blocks, up, product_scratch);
  ForEachRowIn(blocks, num_rows, spec_.ffn_size,
               [&](int64_t offset, int64_t num_columns) {
                 const auto size = static_cast<size_t>(num_columns);
                 GatedProduct(spec_, absl::MakeConstSpan(gate + offset, size),
                              absl::MakeConstSpan(up + offset, size),
                              rows.scratch + offset);
               });
}

// Stage 0: through the down projection and h, block by block of ffn_size. Then
// the scratch is h, and what was kept the gradients of its operands.
void GatedExpert::Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                           const BackwardRows& rows,
                           const ExpertGradients& gradients,
                           float* product_scratch) const {
  if (stage == 1) {
    return AddGradients(blocks, maps, rows, gradients, product_scratch);
  }
  const int64_t num_rows = rows.x.num_rows;
  const ConstMatrix grad_y(rows.grad_y, num_rows, rows.x.num_cols);
  float* gate = rows.kept;
  float* up = rows.kept + num_rows * spec_.ffn_size;
  MultiplyTransposed(grad_y, maps[kDown].weight, blocks, /*accumulate=*/false,
                     rows.scratch, product_scratch);
  ForEachRowIn(blocks, num_rows, spec_.ffn_size,
               [&](int64_t offset, int64_t num_columns) {
                 const auto size = static_cast<size_t>(num_columns);
                 GatedProductBackward(
                     spec_, absl::MakeSpan(gate + offset, size),
                     absl::MakeSpan(up + offset, size), rows.scratch + offset);
               });
}

// Of the down, gate and up projections, then of x. A block of x is two
// products.
void GatedExpert::AddGradients(PanelRange blocks, const ExpertMaps& maps,
                               const BackwardRows& rows,
                               const ExpertGradients& gradients,
                               float* product_scratch) const {
  const int64_t num_rows = rows.x.num_rows;
  const ConstMatrix grad_y(rows.grad_y, num_rows, rows.x.num_cols);
  const ConstMatrix h(rows.scratch, num_rows, spec_.ffn_size);
  const ConstMatrix grad_gate(rows.kept, num_rows, spec_.ffn_size);
  const ConstMatrix grad_up(rows.kept + num_rows * spec_.ffn_size, num_rows,
                            spec_.ffn_size);
  if (const PanelRange panels = TakeBlocks(blocks, num_hidden_panels_);
      panels.count > 0) {
    AddMapGradient(grad_y, h, panels, gradients[kDown], product_scratch);
  }
  if (const PanelRange panels = TakeBlocks(blocks, num_ffn_panels_);
      panels.count > 0) {
    AddMapGradient(grad_gate, rows.x, panels, gradients[kGate],
                   product_scratch);
  }
  if (const PanelRange panels = TakeBlocks(blocks, num_ffn_panels_);
      panels.count > 0) {
    AddMapGradient(grad_up, rows.x, panels, gradients[kUp], product_scratch);
  }
  if (blocks.count == 0) return;
  MultiplyTransposed(grad_gate, maps[kGate].weight, blocks,
                     /*accumulate=*/false, rows.grad_x, product_scratch);
  MultiplyTransposed(grad_up, maps[kUp].weight, blocks, /*accumulate=*/true,
                     rows.grad_x, product_scratch);
}

}  // namespace switchyard
