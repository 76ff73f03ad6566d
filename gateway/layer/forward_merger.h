#ifndef SWITCHYARD_GATEWAY_LAYER_FORWARD_MERGER_H_
#define SWITCHYARD_GATEWAY_LAYER_FORWARD_MERGER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/tensor/tensor.h"
#include "gateway/dispatch/token_routes.h"
#include "gateway/gateway_metrics.h"
#include "gateway/layer/expert_exchange.h"
#include "gateway/layer/layer_membership.h"

namespace switchyard {

struct MergeLimits {
  // Most tokens of requests that travel to the workers together; a request of
  // more goes by itself. 0: nothing is merged.
  int64_t max_tokens = 0;
  // How long the first of them waits for others. Without a wait those are
  // merged that came while the workers were busy with others' tokens.
  absl::Duration max_wait;
  // Dispatches under way at once, so that workers have the next one at hand.
  int max_in_flight = 2;
};

// Merges eval forwards of one layer that come at the same time into one
// dispatch, in the order in which they came: workers then read each expert's
// weights once for all of them. Requests are routed apart, before, and no
// number of a product depends on the rows beside it, so a request's answer is
// the same to the last bit as by itself. Thread-safe.
class ForwardMerger {
 public:
  // Sends routed tokens to the workers of a membership, see ExchangeForward.
  using Exchange = std::function<absl::StatusOr<ForwardExchange>(
      const LayerMembership&, const TokenRoutes&, const Tensor& x,
      const CallContext& call)>;

  // `clock` and `metrics` must outlive the merger. Run wants max_tokens above
  // 0.
  ForwardMerger(MergeLimits limits, Clock& clock, GatewayMetrics& metrics,
                Exchange exchange);

  // Blocks until the answer is there: `exchange`'s for these tokens.
  // DEADLINE_EXCEEDED or CANCELLED where the call is over before they are
  // dispatched; after that they travel until the latest deadline among those
  // merged, or until all of those are cancelled. Where
  // merged requests fail other than with UNAVAILABLE (together they may be more
  // than a worker takes) each is tried by itself.
  absl::StatusOr<ForwardExchange> Run(
      std::shared_ptr<const LayerMembership> membership,
      const TokenRoutes& routes, const Tensor& x, const CallContext& call)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // One request that waits or is under way; borrows from its caller.
  struct Pending {
    std::shared_ptr<const LayerMembership> membership;
    const TokenRoutes* routes;
    const Tensor* x;
    CallContext call;
    // In a batch.
    bool taken = false;
    bool done = false;
    absl::StatusOr<ForwardExchange> result;
  };
  using Batch = std::vector<Pending*>;

  // Waits until `pending` is done, is to lead a batch, or is late or cancelled;
  // in that case it waits no more.
  absl::Status WaitForTurn(Pending& pending)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits for more requests, if it may, and takes those that go together.
  Batch FormBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayJoin(const Pending& first, const Pending& other,
               int64_t num_tokens) const;
  // Finishes all of a batch.
  void RunBatch(const Batch& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunMerged(const Batch& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunAlone(Pending& pending) ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(Pending& pending, absl::StatusOr<ForwardExchange> result)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const MergeLimits limits_;
  Clock& clock_;
  GatewayMetrics& metrics_;
  const Exchange exchange_;

  Mutex mutex_;
  CondVar changed_;
  std::deque<Pending*> waiting_ ABSL_GUARDED_BY(mutex_);
  int64_t num_waiting_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  // One of the callers is forming a batch.
  bool forming_ ABSL_GUARDED_BY(mutex_) = false;
  int num_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_FORWARD_MERGER_H_
