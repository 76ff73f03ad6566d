#ifndef SWITCHYARD_EXPERT_WORKER_DISPATCH_COMBINE_H_
#define SWITCHYARD_EXPERT_WORKER_DISPATCH_COMBINE_H_

#include "common/concurrency/thread_pool.h"
#include "common/tensor/tensor.h"
#include "expert_worker/dispatch/routed_batch.h"

namespace switchyard {

enum class RowWeighting { kWeighted, kUnweighted };

// [tokens, hidden_size]: for each token the sum of its routes' rows of `rows`
// [routes, hidden_size], each times its route's weight where asked. In float32,
// from +0, in the order of the request, product and sum rounded apart; so no
// bit depends on the threads. Tokens without routes are zero.
Tensor SumByToken(const RoutedBatch& batch, const Tensor& rows,
                  RowWeighting weighting, ThreadPool& pool);

// [routes, hidden_size]: `rows` in the order of the request.
Tensor OrderByRoute(const RoutedBatch& batch, const Tensor& rows,
                    ThreadPool& pool);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_DISPATCH_COMBINE_H_
