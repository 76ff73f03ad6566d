#ifndef SWITCHYARD_SERVICES_RPC_REQUEST_QUEUE_H_
#define SWITCHYARD_SERVICES_RPC_REQUEST_QUEUE_H_

#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/concurrency/thread_pool.h"
#include "services/rpc/fair_queue.h"
#include "services/server_limits.h"

namespace switchyard {

// The requests of a server, of many clients, and the threads that run them:
// fair between clients, bounded in requests and bytes. Thread-safe.
class RequestQueue {
 public:
  // A request, whose owner keeps it until it has run or been turned away, and
  // then until Release or for as long as it likes.
  class Request {
   public:
    // `client` is who sent it.
    Request(std::string client, int64_t num_bytes)
        : client_(std::move(client)), num_bytes_(num_bytes) {}
    virtual ~Request() = default;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    // Exactly one of the two is called, once, after an OK Submit, unless
    // Withdraw came first: Run by a thread of the queue; TurnAway by that of
    // another client's Submit, which took its place.
    virtual void Run() = 0;
    virtual void TurnAway(absl::Status status) = 0;

   private:
    friend class RequestQueue;
    const std::string client_;
    const int64_t num_bytes_;
    // Its bytes count. Guarded by the queue's mutex.
    bool is_out_ = false;
  };

  // `name` appears in errors; of `limits` all but the message size and the
  // duration apply. `clock` must outlive the queue.
  RequestQueue(absl::string_view name, const ServerLimits& limits,
               Clock& clock);
  // No call may be in progress.
  ~RequestQueue() = default;
  RequestQueue(const RequestQueue&) = delete;
  RequestQueue& operator=(const RequestQueue&) = delete;

  const std::string& name() const { return name_; }

  // RESOURCE_EXHAUSTED over a limit, UNAVAILABLE after StopAdmitting: then the
  // request is not taken.
  absl::Status Submit(Request& request) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes back a request that waits; false if it does not (any more).
  bool Withdraw(Request& request) ABSL_LOCKS_EXCLUDED(mutex_);
  // The request's bytes are gone. For one that never ran nothing happens.
  void Release(Request& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // What WaitUntilIdle waits for: from BeginCall to EndCall.
  void BeginCall() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndCall() ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitUntilIdle(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

  // Idempotent.
  void StopAdmitting() { draining_.request_stop(); }
  // Requested by StopAdmitting.
  std::stop_token draining() const { return draining_.get_token(); }

 private:
  void RunNext() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string name_;
  Clock& clock_;
  std::stop_source draining_;

  Mutex mutex_;
  CondVar idle_;
  FairQueue<Request*> queue_ ABSL_GUARDED_BY(mutex_);
  // Tasks of the pool that have not yet taken a request: at least as many as
  // wait, more where some were withdrawn.
  int64_t num_scheduled_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t num_calls_ ABSL_GUARDED_BY(mutex_) = 0;

  ThreadPool pool_;  // Last: its threads use all of the above.
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_REQUEST_QUEUE_H_
