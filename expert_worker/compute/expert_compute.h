#ifndef SWITCHYARD_EXPERT_WORKER_COMPUTE_EXPERT_COMPUTE_H_
#define SWITCHYARD_EXPERT_WORKER_COMPUTE_EXPERT_COMPUTE_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// The parameters of one expert as float32 matrices, in the order of
// ExpertParameters (common/model/parameters.h); a bias is one row. They are
// somebody else's, see StoredExpert::Values.
using ExpertValues = absl::InlinedVector<ConstMatrix, 6>;

// Rows of one expert on their way forward. All matrices are row-major, the rows
// of one matrix contiguous, and no two overlap.
struct ForwardRows {
  // [rows, hidden_size].
  ConstMatrix x;
  // Written: [rows, kept_floats_per_row], for Backward.
  float* kept = nullptr;
  // [rows, scratch_floats_per_row], contents undefined before and after.
  float* scratch = nullptr;
  // Written: [rows, hidden_size].
  float* y = nullptr;
};

struct BackwardRows {
  // [rows, hidden_size], as in the forward.
  ConstMatrix x;
  // [rows, kept_floats_per_row], as the forward left it.
  const float* kept = nullptr;
  // [rows, hidden_size].
  const float* grad_y = nullptr;
  // [rows, scratch_floats_per_row].
  float* scratch = nullptr;
  // Written: [rows, hidden_size].
  float* grad_x = nullptr;
};

// The arithmetic of one kind of expert on one kind of device. Implementations
// allocate nothing, so they may run on any thread of a pool: memory comes with
// the call. Immutable.
class ExpertCompute {
 public:
  virtual ~ExpertCompute() = default;

  // What Backward needs beside the rows in, per row.
  virtual int64_t kept_floats_per_row() const = 0;
  // Working memory of a Forward or a Backward, per row.
  virtual int64_t scratch_floats_per_row() const = 0;

  // y = expert(x). Inputs come as the expert is to see them: where the layer
  // has WeightApplication::kInput they have the routes' weights in them.
  virtual void Forward(const ExpertValues& parameters,
                       const ForwardRows& rows) const = 0;

  // Writes grad_x and adds the gradients of the parameters to `gradients`,
  // which are in the order of `parameters`. Rows are summed in an order that
  // depends on their number alone.
  virtual void Backward(const ExpertValues& parameters,
                        const BackwardRows& rows,
                        absl::Span<Tensor> gradients) const = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COMPUTE_EXPERT_COMPUTE_H_
