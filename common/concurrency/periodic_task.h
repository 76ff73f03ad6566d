#ifndef SWITCHYARD_COMMON_CONCURRENCY_PERIODIC_TASK_H_
#define SWITCHYARD_COMMON_CONCURRENCY_PERIODIC_TASK_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace switchyard {

// Calls a function again and again on a thread of its own, `interval` after
// the last call returned, the first time at once. Destruction waits for a call
// in progress and makes no further one. Thread-safe.
class PeriodicTask {
 public:
  PeriodicTask(absl::Duration interval, absl::AnyInvocable<void()> task);
  ~PeriodicTask();
  PeriodicTask(const PeriodicTask&) = delete;
  PeriodicTask& operator=(const PeriodicTask&) = delete;

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::Duration interval_;
  absl::AnyInvocable<void()> task_;
  Mutex mutex_;
  CondVar stop_requested_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CONCURRENCY_PERIODIC_TASK_H_
