#ifndef SWITCHYARD_EXPERT_WORKER_DISPATCH_COMBINE_H_
#define SWITCHYARD_EXPERT_WORKER_DISPATCH_COMBINE_H_

#include "common/concurrency/thread_pool.h"
#include "common/tensor/tensor.h"
#include "expert_worker/dispatch/routed_batch.h"

namespace switchyard {

enum class RowWeighting { kWeighted, kUnweighted };

// Whose rows they are: the routes', [routes, hidden_size], sorted by expert; or
// the tokens', [tokens, hidden_size], the same for all routes of a token.
enum class RowOrder { kByExpert, kByToken };

// [tokens, hidden_size]: for each token the sum of its routes' rows, each times
// its route's weight where asked. In float32, from +0, in the order of the
// request, product and sum rounded apart; so no bit depends on the threads.
// Tokens without routes are zero. At `place`, if it fits there.
Tensor SumByToken(const RoutedBatch& batch, const Tensor& rows, RowOrder order,
                  RowWeighting weighting, const TensorPlace& place,
                  ThreadPool& pool);

// [routes, hidden_size]: `rows`, which are by expert, in the order of the
// request. At `place`, if it fits there.
Tensor OrderByRoute(const RoutedBatch& batch, const Tensor& rows,
                    const TensorPlace& place, ThreadPool& pool);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_DISPATCH_COMBINE_H_
