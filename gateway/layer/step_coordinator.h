// A training step across workers: everywhere or nowhere.
//
//  1. All microbatches are closed (StepState::CheckStep): every worker holds
//  its
//     experts' final gradients, each replica for the tokens that it saw; the
//     gateway holds the gate's.
//  2. Prepare (PrepareExperts): every worker is asked, in parallel, for the
//     squared norm of each expert's gradient; the answer also promises that the
//     worker can commit. Any error ends the step here, and nothing has changed.
//  3. Replicated experts (SumReplicaGradients): their gradients are read from
//     each replica, summed in the order of worker ids, and written back to all,
//     so that replicas apply the same update and stay identical. Their norm is
//     that of the sum.
//  4. A gradient that is not finite refuses the step, naming the expert. From
//     here on the step is decided.
//  5. Commit (CommitExperts): every worker updates its experts. The calls have
//     a deadline of their own, since the client's may be nearly spent. A worker
//     that does not confirm is treated as lost, with its replicas: the others
//     have moved on, and it must not serve the old parameters.
//  6. The gate is updated and the step number rises (MoeLayer).
//
// Workers refuse calls of an older generation (ABORTED), so a worker that was
// declared lost and comes back cannot take part in a step it does not belong
// to.
//
// Messages per step: 2 per worker; for replicated experts 2 more per replica
// and 16 MiB page, and 2 * bytes of their gradients on the wire per replica.
#ifndef SWITCHYARD_GATEWAY_LAYER_STEP_COORDINATOR_H_
#define SWITCHYARD_GATEWAY_LAYER_STEP_COORDINATOR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gateway/layer/expert_exchange.h"

namespace switchyard {

// Parts 2 to 4 for the experts. Returns the squared norm of all experts'
// gradients. FAILED_PRECONDITION: a gradient is not finite.
absl::StatusOr<double> PrepareExperts(const ExchangeContext& context,
                                      uint64_t step);

// Part 5. Reports workers that did not confirm as lost, whatever their error.
void CommitExperts(const ExchangeContext& context, uint64_t step,
                   float learning_rate);

// Throws the open step's gradients away on every worker. Reports those that did
// not confirm as lost.
void AbortExperts(const ExchangeContext& context, uint64_t step);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_STEP_COORDINATOR_H_
