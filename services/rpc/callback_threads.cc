#include "services/rpc/callback_threads.h"

#include <memory>
#include <utility>

#include "common/concurrency/thread_pool.h"

namespace switchyard {

void RunOffCallbackThreads(absl::AnyInvocable<void()> work) {
  // Never destroyed: callbacks may outlive static objects.
  static ThreadPool& pool = *new ThreadPool({.name = "ended channels"});
  // The queue destroys what it refuses, so it gets a share.
  const auto shared =
      std::make_shared<absl::AnyInvocable<void()>>(std::move(work));
  if (!pool.Schedule([shared] { (*shared)(); }).ok()) (*shared)();
}

}  // namespace switchyard
