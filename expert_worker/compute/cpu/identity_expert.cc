#include "expert_worker/compute/cpu/identity_expert.h"

#include <algorithm>

namespace switchyard {

// One block: all rows.
IdentityExpert::IdentityExpert(int64_t hidden_size)
    : stages_({{1, hidden_size}}) {}

void IdentityExpert::Forward(int /*stage*/, PanelRange blocks,
                             const ExpertMaps& /*maps*/,
                             const ForwardRows& rows,
                             float* /*product_scratch*/) const {
  if (blocks.count == 0) return;
  std::copy_n(rows.x.data, rows.x.num_rows * rows.x.num_cols, rows.y);
}

void IdentityExpert::Backward(int /*stage*/, PanelRange blocks,
                              const ExpertMaps& /*maps*/,
                              const BackwardRows& rows,
                              const ExpertGradients& /*gradients*/,
                              float* /*product_scratch*/) const {
  if (blocks.count == 0) return;
  std::copy_n(rows.grad_y, rows.x.num_rows * rows.x.num_cols, rows.grad_x);
}

}  // namespace switchyard
