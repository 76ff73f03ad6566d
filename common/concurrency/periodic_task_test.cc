#include "common/concurrency/periodic_task.h"

#include <gtest/gtest.h>

#include "common/base/mutex.h"

namespace switchyard {
namespace {

TEST(PeriodicTaskTest, RunsAgainAndAgainUntilDestroyed) {
  Mutex mutex;
  CondVar changed;
  int num_runs = 0;
  {
    PeriodicTask task(absl::Milliseconds(1), [&] {
      MutexLock lock(mutex);
      ++num_runs;
      changed.NotifyAll();
    });
    MutexLock lock(mutex);
    while (num_runs < 3) changed.Wait(mutex);
  }
  const int runs_at_end = num_runs;
  EXPECT_GE(runs_at_end, 3);
  EXPECT_EQ(num_runs, runs_at_end);
}

TEST(PeriodicTaskTest, StopsAtOnceInsteadOfWaitingForTheInterval) {
  PeriodicTask task(absl::Hours(1), [] {});
}

}  // namespace
}  // namespace switchyard
