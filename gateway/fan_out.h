#ifndef SWITCHYARD_GATEWAY_FAN_OUT_H_
#define SWITCHYARD_GATEWAY_FAN_OUT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/mutex.h"

namespace switchyard {

// Collects the answers of calls made in parallel: give Done(i) to call i, then
// Wait. Each Done must run exactly once, as ExpertGroup promises; the wait ends
// with the calls' own deadlines. `Result` is absl::Status or absl::StatusOr<T>.
template <typename Result>
class FanOut {
 public:
  explicit FanOut(size_t num_calls)
      : state_(std::make_shared<State>(num_calls)) {}

  std::function<void(Result)> Done(size_t call_idx) {
    return [state = state_, call_idx](Result result) {
      bool is_last = false;
      {
        MutexLock lock(state->mutex);
        state->results[call_idx].emplace(std::move(result));
        is_last = --state->num_pending == 0;
      }
      // Not under the lock: the waiter would wake up only to wait for it.
      if (is_last) state->all_done.NotifyAll();
    };
  }

  // The results, in order of call.
  std::vector<Result> Wait() {
    std::vector<Result> results;
    MutexLock lock(state_->mutex);
    while (state_->num_pending > 0) state_->all_done.Wait(state_->mutex);
    results.reserve(state_->results.size());
    for (std::optional<Result>& result : state_->results) {
      results.push_back(*std::move(result));
    }
    return results;
  }

 private:
  // Shared with the callbacks: the last of them may still be in NotifyAll when
  // the waiter has gone on.
  struct State {
    explicit State(size_t num_calls)
        : num_pending(num_calls), results(num_calls) {}
    Mutex mutex;
    CondVar all_done;
    size_t num_pending ABSL_GUARDED_BY(mutex);
    std::vector<std::optional<Result>> results ABSL_GUARDED_BY(mutex);
  };

  std::shared_ptr<State> state_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_FAN_OUT_H_
