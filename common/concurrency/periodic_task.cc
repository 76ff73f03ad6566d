#include "common/concurrency/periodic_task.h"

#include <utility>

namespace switchyard {

PeriodicTask::PeriodicTask(absl::Duration interval,
                           absl::AnyInvocable<void()> task)
    : interval_(interval), task_(std::move(task)), thread_([this] { Run(); }) {}

PeriodicTask::~PeriodicTask() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_requested_.NotifyAll();
  thread_.join();
}

void PeriodicTask::Run() {
  for (;;) {
    task_();
    MutexLock lock(mutex_);
    bool waiting = true;
    while (waiting && !stopping_) {
      waiting = stop_requested_.WaitFor(mutex_, interval_);
    }
    if (stopping_) return;
  }
}

}  // namespace switchyard
