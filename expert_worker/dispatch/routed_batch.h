#ifndef SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTED_BATCH_H_
#define SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTED_BATCH_H_

#include <cstdint>
#include <vector>

#include "common/model/gate_spec.h"
#include "common/tensor/tensor.h"
#include "expert_worker/dispatch/route_order.h"

namespace switchyard {

// The tokens of one Forward, spread over the experts: all that Backward needs.
// Rows are routes sorted by expert, see `order`.
//
// Where a route's weight w goes, with L the loss:
//
//                   kOutput                  kInput
//   input           x                        w x
//   y               sum of w E(x)            sum of E(w x)
//   route dot dL/dw <dL/dy, E(x)>            <dL/d input, x>
//   grad_x          sum of E'(x)(w dL/dy)    sum of w E'(w x)(dL/dy)
//
// With exact_combine the same rows come back, not summed: those of y E(x) or
// E(w x), those of grad_x with w in them.
struct RoutedBatch {
  int64_t num_tokens = 0;
  bool exact_combine = false;
  WeightApplication weight_application = WeightApplication::kOutput;
  // [routes], in the order of the request: by token, then by choice.
  std::vector<int32_t> route_tokens;
  std::vector<float> route_weights;
  RouteOrder order;
  // Of the routes, those to the dense branch. Their rows are the last, as its
  // id is the highest.
  int64_t num_branch_routes = 0;
  // [tokens, hidden_size]: x, in train mode and for kInput only.
  Tensor tokens;
  // [routes, hidden_size]: what goes into the experts.
  Tensor inputs;
  // kept_floats_per_row of each row's expert, see ExpertCompute.
  Tensor kept;
  // [routes, hidden_size]: what comes out, unweighted.
  Tensor outputs;

  int64_t num_routes() const {
    return static_cast<int64_t>(route_tokens.size());
  }
};

// Memory of a RoutedBatch with `num_token_rows` rows in `tokens` and
// `kept_floats` in `kept`. Unit: bytes.
inline int64_t RoutedBatchBytes(int64_t num_routes, int64_t num_token_rows,
                                int64_t hidden_size, int64_t kept_floats) {
  // The objects themselves, so that empty batches are not free either.
  constexpr int64_t kFixedBytes = 512;
  constexpr int64_t kIndexBytes =
      sizeof(int32_t) + sizeof(float) + 2 * sizeof(int64_t);
  constexpr int64_t kFloatBytes = sizeof(float);
  return kFixedBytes +
         num_routes * (kIndexBytes + kFloatBytes * 2 * hidden_size) +
         kFloatBytes * (num_token_rows * hidden_size + kept_floats);
}

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTED_BATCH_H_
