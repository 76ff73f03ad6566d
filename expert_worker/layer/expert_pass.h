// One batch through the experts of a layer, forward and backward: spread the
// tokens over the experts, compute all experts in parallel, cut into tasks of
// some blocks of one expert's columns (ExpertCompute), combine. Where
// the routes' weights go is in dispatch/routed_batch.h.
//
// Every number is computed by one thread in an order that the request alone
// gives, so the number of threads shows in no bit of a result.
#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_EXPERT_PASS_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_EXPERT_PASS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "common/concurrency/thread_pool.h"
#include "common/tensor/tensor.h"
#include "expert_worker/dispatch/routed_batch.h"
#include "expert_worker/layer/layer_compute.h"
#include "expert_worker/store/expert_store.h"

namespace switchyard {

// Memory of the batch that MakeRoutedBatch makes. Unit: bytes.
int64_t BatchBytes(const ExpertForwardRequest& request,
                   const LayerCompute& compute);

// A batch with the routes of a request that passed CheckForward, in order,
// its other tensors not yet filled. `route_hosted_idx` has one entry per route.
RoutedBatch MakeRoutedBatch(const ExpertForwardRequest& request,
                            const std::vector<int32_t>& route_hosted_idx,
                            int64_t num_hosted, const LayerCompute& compute);

// Memory that a pass takes beside its RoutedBatch. Unit: bytes.
int64_t ForwardWorkingBytes(const RoutedBatch& batch,
                            const LayerCompute& compute,
                            const ThreadPool& pool);
int64_t BackwardWorkingBytes(const RoutedBatch& batch,
                             const LayerCompute& compute,
                             const ThreadPool& pool);

// Fills the batch's tensors, as far as something is to be kept of them or needs
// them, and returns y, as ExpertForwardResult describes it. Looks at `watch`
// before each task; once the call is over it skips the rest.
absl::StatusOr<Tensor> RunForward(const ExpertStore& store,
                                  const LayerCompute& compute,
                                  const ExpertForwardRequest& request,
                                  const CallWatch& watch, ThreadPool& pool,
                                  RoutedBatch& batch);

// Adds to the experts' gradients, one call at a time, and uses up what was
// kept; compute_us is left 0. Each of route_dots is summed in double, as
// DotProduct, and rounded once. A call that is over ends it as a forward until
// it begins to add to gradients, so that it adds all or nothing.
absl::StatusOr<ExpertBackwardResult> RunBackward(
    ExpertStore& store, const LayerCompute& compute, const Tensor& grad_y,
    const CallWatch& watch, ThreadPool& pool, RoutedBatch& batch);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_EXPERT_PASS_H_
