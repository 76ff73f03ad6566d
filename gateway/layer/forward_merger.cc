#include "gateway/layer/forward_merger.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <new>
#include <stop_token>
#include <utility>

#include "common/base/status_macros.h"

namespace switchyard {
namespace {

// All requests' tokens and routes, one after the other.
struct MergedTokens {
  Tensor x;
  TokenRoutes routes;
};

template <typename Batch>
MergedTokens Merge(const Batch& batch) {
  MergedTokens merged;
  merged.routes.k = batch.front()->routes->k;
  for (const auto* pending : batch) {
    const TokenRoutes& routes = *pending->routes;
    merged.routes.num_tokens += routes.num_tokens;
    merged.routes.expert_ids.insert(merged.routes.expert_ids.end(),
                                    routes.expert_ids.begin(),
                                    routes.expert_ids.end());
    merged.routes.weights.insert(merged.routes.weights.end(),
                                 routes.weights.begin(), routes.weights.end());
  }
  merged.x = Tensor::Uninitialized(
      {merged.routes.num_tokens, batch.front()->x->cols()});
  float* to = merged.x.data();
  for (const auto* pending : batch) {
    to = std::copy_n(pending->x->data(), pending->x->num_elements(), to);
  }
  return merged;
}

// The call that is made for several: it lasts as long as any of theirs, and is
// cancelled when all of them are.
class SharedCall {
 public:
  template <typename Batch>
  explicit SharedCall(const Batch& batch)
      : num_waiting_(static_cast<int64_t>(batch.size())) {
    for (const auto* pending : batch) {
      deadline_ = std::max(deadline_, pending->call.deadline());
      leavings_.emplace_back(pending->call.cancellation(), Leave{this});
    }
  }
  SharedCall(const SharedCall&) = delete;
  SharedCall& operator=(const SharedCall&) = delete;

  CallContext context() const {
    return CallContext(deadline_, cancellation_.get_token());
  }

 private:
  struct Leave {
    void operator()() const {
      if (--call->num_waiting_ == 0) call->cancellation_.request_stop();
    }
    SharedCall* call;
  };

  std::atomic<int64_t> num_waiting_;
  absl::Time deadline_ = absl::InfinitePast();
  std::stop_source cancellation_;
  // Last: they use the above. A deque, as they do not move.
  std::deque<std::stop_callback<Leave>> leavings_;
};

// The rows of a merged answer that are one request's.
ForwardExchange Part(const ForwardExchange& merged, int64_t first_token,
                     int64_t num_tokens) {
  const int64_t cols = merged.y.cols();
  return {.y = Tensor::FromSpan({num_tokens, cols},
                                merged.y.values().subspan(
                                    static_cast<size_t>(first_token * cols),
                                    static_cast<size_t>(num_tokens * cols))),
          .timing = merged.timing};
}

}  // namespace

ForwardMerger::ForwardMerger(MergeLimits limits, Clock& clock,
                             GatewayMetrics& metrics, Exchange exchange)
    : limits_(limits),
      clock_(clock),
      metrics_(metrics),
      exchange_(std::move(exchange)) {}

absl::StatusOr<ForwardExchange> ForwardMerger::Run(
    std::shared_ptr<const LayerMembership> membership,
    const TokenRoutes& routes, const Tensor& x, const CallContext& call) {
  Pending pending = {.membership = std::move(membership),
                     .routes = &routes,
                     .x = &x,
                     .call = call,
                     .result = absl::UnknownError("not run")};
  const std::stop_callback wake(call.cancellation(), [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  {
    MutexLock lock(mutex_);
    waiting_.push_back(&pending);
    num_waiting_tokens_ += routes.num_tokens;
    changed_.NotifyAll();
  }
  for (;;) {
    Batch batch;
    {
      MutexLock lock(mutex_);
      SWITCHYARD_RETURN_IF_ERROR(WaitForTurn(pending));
      if (pending.done) return std::move(pending.result);
      batch = FormBatch();
      ++num_in_flight_;
    }
    RunBatch(batch);
    MutexLock lock(mutex_);
    --num_in_flight_;
    changed_.NotifyAll();
  }
}

absl::Status ForwardMerger::WaitForTurn(Pending& pending) {
  while (!pending.done) {
    if (pending.taken) {
      changed_.Wait(mutex_);
      continue;
    }
    if (!forming_ && num_in_flight_ < limits_.max_in_flight &&
        waiting_.front() == &pending) {
      return absl::OkStatus();
    }
    const absl::Duration left = pending.call.deadline() - clock_.Now();
    if (pending.call.IsCancelled() || left <= absl::ZeroDuration()) {
      num_waiting_tokens_ -= pending.routes->num_tokens;
      waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &pending));
      changed_.NotifyAll();
      if (pending.call.IsCancelled()) return CallContext::CancelledError();
      return absl::DeadlineExceededError(
          "the deadline passed while the request waited to be dispatched");
    }
    changed_.WaitFor(mutex_, left);
  }
  return absl::OkStatus();
}

ForwardMerger::Batch ForwardMerger::FormBatch() {
  forming_ = true;
  const absl::Time until = clock_.Now() + limits_.max_wait;
  while (num_waiting_tokens_ < limits_.max_tokens) {
    const absl::Duration left = until - clock_.Now();
    if (left <= absl::ZeroDuration()) break;
    changed_.WaitFor(mutex_, left);
  }
  Batch batch;
  int64_t num_tokens = 0;
  while (!waiting_.empty() &&
         (batch.empty() ||
          MayJoin(*batch.front(), *waiting_.front(), num_tokens))) {
    waiting_.front()->taken = true;
    num_tokens += waiting_.front()->routes->num_tokens;
    batch.push_back(waiting_.front());
    waiting_.pop_front();
  }
  num_waiting_tokens_ -= num_tokens;
  forming_ = false;
  changed_.NotifyAll();
  return batch;
}

bool ForwardMerger::MayJoin(const Pending& first, const Pending& other,
                            int64_t num_tokens) const {
  return other.membership == first.membership &&
         other.routes->k == first.routes->k &&
         num_tokens + other.routes->num_tokens <= limits_.max_tokens;
}

void ForwardMerger::RunBatch(const Batch& batch) {
  metrics_.ObserveMergedRequests(static_cast<int64_t>(batch.size()));
  try {
    if (batch.size() == 1) return RunAlone(*batch.front());
    RunMerged(batch);
  } catch (const std::bad_alloc&) {
    // Whoever waits in another thread must hear of it.
    for (Pending* const pending : batch) {
      if (pending->done) continue;
      Finish(*pending, absl::ResourceExhaustedError(
                           "not enough memory to dispatch the request"));
    }
  }
}

void ForwardMerger::RunMerged(const Batch& batch) {
  const MergedTokens merged = Merge(batch);
  const absl::StatusOr<ForwardExchange> result = [&] {
    const SharedCall shared(batch);
    return exchange_(*batch.front()->membership, merged.routes, merged.x,
                     shared.context());
  }();
  if (!result.ok() && !absl::IsUnavailable(result.status())) {
    for (Pending* const pending : batch) RunAlone(*pending);
    return;
  }
  int64_t first_token = 0;
  for (Pending* const pending : batch) {
    // Once finished, the request may be gone.
    const int64_t num_tokens = pending->x->rows();
    if (result.ok()) {
      Finish(*pending, Part(*result, first_token, num_tokens));
    } else {
      Finish(*pending, result.status());
    }
    first_token += num_tokens;
  }
}

void ForwardMerger::RunAlone(Pending& pending) {
  Finish(pending, exchange_(*pending.membership, *pending.routes, *pending.x,
                            pending.call));
}

void ForwardMerger::Finish(Pending& pending,
                           absl::StatusOr<ForwardExchange> result) {
  MutexLock lock(mutex_);
  pending.result = std::move(result);
  pending.done = true;
  changed_.NotifyAll();
}

}  // namespace switchyard
