#ifndef SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTED_BATCH_H_
#define SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTED_BATCH_H_

#include <cstdint>
#include <vector>

#include "common/tensor/tensor.h"
#include "expert_worker/dispatch/route_order.h"

namespace switchyard {

// The tokens of one Forward, spread over the experts: all that Backward needs.
// Rows are routes sorted by expert, see `order`.
struct RoutedBatch {
  int64_t num_tokens = 0;
  bool exact_combine = false;
  // [routes], in the order of the request: by token, then by choice.
  std::vector<int32_t> route_tokens;
  std::vector<float> route_weights;
  RouteOrder order;
  // [routes, hidden_size]: tokens that go into the experts.
  Tensor inputs;
  // [routes, kept_floats_per_row]: see ExpertCompute.
  Tensor kept;
  // [routes, hidden_size]: what comes out, unweighted.
  Tensor outputs;

  int64_t num_routes() const {
    return static_cast<int64_t>(route_tokens.size());
  }
};

// Memory of a RoutedBatch. Unit: bytes.
inline int64_t RoutedBatchBytes(int64_t num_routes, int64_t hidden_size,
                                int64_t kept_floats_per_row) {
  // The objects themselves, so that empty batches are not free either.
  constexpr int64_t kFixedBytes = 512;
  constexpr int64_t kIndexBytes =
      sizeof(int32_t) + sizeof(float) + 2 * sizeof(int64_t);
  constexpr int64_t kFloatBytes = sizeof(float);
  return kFixedBytes +
         num_routes * (kIndexBytes +
                       kFloatBytes * (2 * hidden_size + kept_floats_per_row));
}

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_DISPATCH_ROUTED_BATCH_H_
