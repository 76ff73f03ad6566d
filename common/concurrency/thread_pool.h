#ifndef SWITCHYARD_COMMON_CONCURRENCY_THREAD_POOL_H_
#define SWITCHYARD_COMMON_CONCURRENCY_THREAD_POOL_H_

#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/base/mutex.h"

namespace switchyard {

// A fixed number of threads over one bounded first-in-first-out queue.
// Thread-safe.
class ThreadPool {
 public:
  struct Options {
    // Named in errors, e.g. "gateway requests".
    std::string name;
    int num_threads = 1;
    // Tasks waiting, not counting those that run.
    int64_t max_queued_tasks = 1024;
  };

  explicit ThreadPool(Options options);
  // Runs what is queued, then joins.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // RESOURCE_EXHAUSTED when the queue is full; the task is then destroyed
  // without having run.
  absl::Status Schedule(absl::AnyInvocable<void()> task)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs fn(0) ... fn(num_tasks - 1), the calling thread helping, and returns
  // when all have returned. Tasks that the queue does not take run on the
  // calling thread, so this never fails; it may be called from inside a task.
  void ParallelFor(int64_t num_tasks, absl::FunctionRef<void(int64_t)> fn);

  int num_threads() const { return static_cast<int>(threads_.size()); }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  Mutex mutex_;
  CondVar work_available_;
  std::deque<absl::AnyInvocable<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CONCURRENCY_THREAD_POOL_H_
