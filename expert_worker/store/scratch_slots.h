#ifndef SWITCHYARD_EXPERT_WORKER_STORE_SCRATCH_SLOTS_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_SCRATCH_SLOTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "common/concurrency/thread_pool.h"

namespace switchyard {

// Tasks of a ParallelFor over `num_tasks` that run at the same time, at most:
// the pool's threads and the calling one.
inline int64_t MaxTasksAtOnce(const ThreadPool& pool, int64_t num_tasks) {
  return std::min<int64_t>(pool.num_threads() + 1, num_tasks);
}

// Working memory for the tasks of one ParallelFor, made before it, as tasks may
// not allocate: an exception must not leave a thread of the pool. Thread-safe.
template <typename Scratch>
class ScratchSlots {
 public:
  // A slot, given back on destruction.
  class Loan {
   public:
    Loan(ScratchSlots& slots, Scratch* scratch)
        : slots_(slots), scratch_(scratch) {}
    ~Loan() { slots_.GiveBack(scratch_); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

    Scratch& operator*() const { return *scratch_; }

   private:
    ScratchSlots& slots_;
    Scratch* const scratch_;
  };

  // `make` returns the content of a slot; there are `num_slots`.
  template <typename Make>
  ScratchSlots(int64_t num_slots, Make make) {
    slots_.reserve(static_cast<size_t>(num_slots));
    for (int64_t i = 0; i < num_slots; ++i) slots_.push_back(make());
    for (Scratch& slot : slots_) free_.push_back(&slot);
  }

  // No more than `num_slots` are out at once, see MaxTasksAtOnce.
  Loan Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    Scratch* const scratch = free_.back();
    free_.pop_back();
    return Loan(*this, scratch);
  }

 private:
  void GiveBack(Scratch* scratch) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    // Allocates nothing: all have been in it.
    free_.push_back(scratch);
  }

  // Never changes; the slots belong to who took them.
  std::vector<Scratch> slots_;
  Mutex mutex_;
  std::vector<Scratch*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_SCRATCH_SLOTS_H_
