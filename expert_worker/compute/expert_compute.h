#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_EXPERT_COMPUTE_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_EXPERT_COMPUTE_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "common/linalg/panel_products.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// y = x W^T + b. Somebody else's, see StoredExpert.
struct LinearMap {
  PanelWeight weight;
  // [num_outputs], or null.
  const float* bias = nullptr;
};

// Sums of gradients of a map: in panels as the weight, and [num_outputs].
struct LinearMapGradient {
  float* weight = nullptr;
  float* bias = nullptr;
  // Whether to add to what is there; otherwise it is overwritten.
  bool accumulate = true;
};

// The maps of one expert, in the order of ExpertParameters
// (common/model/parameters.h): linear has one, MLP fc1 and fc2, gated has gate,
// up and down.
using ExpertMaps = absl::InlinedVector<LinearMap, 3>;
using ExpertGradients = absl::InlinedVector<LinearMapGradient, 3>;

// Rows of one expert on their way forward. All matrices are row-major, the rows
// of one matrix contiguous, and no two overlap.
struct ForwardRows {
  // [rows, hidden_size].
  ConstMatrix x;
  // Written: [rows, kept_floats_per_row], for Backward.
  float* kept = nullptr;
  // [rows, scratch_floats_per_row], for what one stage leaves to the next.
  float* scratch = nullptr;
  // Written: [rows, hidden_size].
  float* y = nullptr;
};

struct BackwardRows {
  // [rows, hidden_size], as in the forward.
  ConstMatrix x;
  // [rows, kept_floats_per_row], as the forward left it. Used up.
  float* kept = nullptr;
  // [rows, hidden_size].
  const float* grad_y = nullptr;
  // [rows, scratch_floats_per_row].
  float* scratch = nullptr;
  // Written: [rows, hidden_size].
  float* grad_x = nullptr;
};

// A part of a pass that can be cut into blocks, to run at the same time and in
// any order, once all stages before have run whole.
struct Stage {
  int64_t num_blocks = 0;
  // Of one block for one row, on average.
  int64_t multiply_adds = 0;
};
using Stages = absl::InlinedVector<Stage, 2>;

// The arithmetic of one kind of expert on one kind of device. Implementations
// allocate nothing, so they may run on any thread of a pool: memory comes with
// the call. Cuts show in no bit of a result. Immutable.
class ExpertCompute {
 public:
  virtual ~ExpertCompute() = default;

  // Whether y is x: then Forward need not be called.
  virtual bool returns_input() const { return false; }
  // What Backward needs beside the rows in, per row.
  virtual int64_t kept_floats_per_row() const = 0;
  // Working memory of a pass, per row.
  virtual int64_t scratch_floats_per_row() const = 0;
  virtual const Stages& forward_stages() const = 0;
  virtual const Stages& backward_stages() const = 0;

  // Blocks of stage `stage` of y = expert(x). Inputs come as the expert is to
  // see them: where the layer has WeightApplication::kInput they have the
  // routes' weights in them. `product_scratch` has kProductScratchFloats.
  virtual void Forward(int stage, PanelRange blocks, const ExpertMaps& maps,
                       const ForwardRows& rows,
                       float* product_scratch) const = 0;

  // Blocks of stage `stage` of what writes grad_x and, in the last stage alone,
  // adds to `gradients` or writes them: until then a pass may be given up. A
  // gradient is summed over the rows in their order.
  virtual void Backward(int stage, PanelRange blocks, const ExpertMaps& maps,
                        const BackwardRows& rows,
                        const ExpertGradients& gradients,
                        float* product_scratch) const = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_EXPERT_COMPUTE_H_
