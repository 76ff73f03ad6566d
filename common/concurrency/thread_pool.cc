#include "common/concurrency/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

// Shared by the threads of one ParallelFor. Helpers that start late find no
// index left and never touch `fn`, which may be gone by then.
struct ParallelForState {
  explicit ParallelForState(int64_t num, absl::FunctionRef<void(int64_t)> f)
      : num_tasks(num), fn(f) {}

  void RunTasks() {
    int64_t num_run = 0;
    for (int64_t i = next.fetch_add(1); i < num_tasks; i = next.fetch_add(1)) {
      fn(i);
      ++num_run;
    }
    if (num_run == 0) return;
    MutexLock lock(mutex);
    num_done += num_run;
    if (num_done == num_tasks) all_done.NotifyAll();
  }

  void Wait() {
    MutexLock lock(mutex);
    while (num_done < num_tasks) all_done.Wait(mutex);
  }

  const int64_t num_tasks;
  const absl::FunctionRef<void(int64_t)> fn;
  std::atomic<int64_t> next{0};
  Mutex mutex;
  CondVar all_done;
  int64_t num_done ABSL_GUARDED_BY(mutex) = 0;
};

}  // namespace

ThreadPool::ThreadPool(Options options) : options_(std::move(options)) {
  threads_.reserve(static_cast<size_t>(options_.num_threads));
  for (int i = 0; i < options_.num_threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  work_available_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status ThreadPool::Schedule(absl::AnyInvocable<void()> task) {
  {
    MutexLock lock(mutex_);
    if (static_cast<int64_t>(queue_.size()) >= options_.max_queued_tasks) {
      return absl::ResourceExhaustedError(
          absl::StrCat("queue of ", options_.name, " is full (",
                       options_.max_queued_tasks, " waiting)"));
    }
    queue_.push_back(std::move(task));
  }
  work_available_.NotifyOne();
  return absl::OkStatus();
}

void ThreadPool::ParallelFor(int64_t num_tasks,
                             absl::FunctionRef<void(int64_t)> fn) {
  if (num_tasks <= 0) return;
  if (num_tasks == 1 || threads_.empty()) {
    for (int64_t i = 0; i < num_tasks; ++i) fn(i);
    return;
  }
  auto state = std::make_shared<ParallelForState>(num_tasks, fn);
  const int64_t num_helpers =
      std::min<int64_t>(num_tasks - 1, static_cast<int64_t>(threads_.size()));
  for (int64_t i = 0; i < num_helpers; ++i) {
    if (!Schedule([state] { state->RunTasks(); }).ok()) break;
  }
  state->RunTasks();
  state->Wait();
}

void ThreadPool::Run() {
  for (;;) {
    absl::AnyInvocable<void()> task;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) work_available_.Wait(mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace switchyard
