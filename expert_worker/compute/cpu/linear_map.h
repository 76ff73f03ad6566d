// What the kinds of experts are made of: a linear map forward and backward, cut
// into blocks of kPanelWidth columns of its result.
#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_MAP_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_MAP_H_

#include <algorithm>
#include <cstdint>

#include "expert_worker/compute/expert_compute.h"

namespace switchyard {

// The range's columns of y = x W^T + b.
void ApplyMap(const LinearMap& map, ConstMatrix x, PanelRange outputs, float* y,
              float* product_scratch);

// The range's panels of the weight's gradient, and as many elements of the
// bias's, for grad_y.
void AddMapGradient(ConstMatrix grad_y, ConstMatrix x, PanelRange outputs,
                    const LinearMapGradient& gradient, float* product_scratch);

// Cuts what falls into the first `num_blocks` off the front of `blocks`, which
// counts on from there afterwards. For stages that are made of several parts.
PanelRange TakeBlocks(PanelRange& blocks, int64_t num_blocks);

// Calls body(offset, num_columns) for each row of a matrix [num_rows,
// num_columns_in_all]: where the range's columns lie.
template <typename Body>
void ForEachRowIn(PanelRange columns, int64_t num_rows,
                  int64_t num_columns_in_all, Body body) {
  const int64_t begin = columns.first * kPanelWidth;
  const int64_t end = std::min((columns.first + columns.count) * kPanelWidth,
                               num_columns_in_all);
  for (int64_t row = 0; row < num_rows; ++row) {
    body(row * num_columns_in_all + begin, end - begin);
  }
}

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_CPU_LINEAR_MAP_H_
