#include "common/concurrency/thread_pool.h"

#include <atomic>
#include <future>
#include <vector>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ThreadPoolTest, RunsQueuedTasksBeforeItIsDestroyed) {
  std::atomic<int> num_run = 0;
  {
    ThreadPool pool({.name = "test", .num_threads = 2});
    for (int i = 0; i < 100; ++i) ASSERT_OK(pool.Schedule([&] { ++num_run; }));
  }
  EXPECT_EQ(num_run, 100);
}

TEST(ThreadPoolTest, RefusesWorkOverItsBound) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<void> started;
  ThreadPool pool({.name = "test", .num_threads = 1, .max_queued_tasks = 2});
  ASSERT_OK(pool.Schedule([&, released] {
    started.set_value();
    released.wait();
  }));
  started.get_future().wait();
  ASSERT_OK(pool.Schedule([] {}));
  ASSERT_OK(pool.Schedule([] {}));
  EXPECT_THAT(pool.Schedule([] {}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("queue of test is full (2 waiting)")));
  release.set_value();
}

TEST(ThreadPoolTest, ParallelForRunsEveryIndexOnceEvenWhenNested) {
  ThreadPool pool({.name = "test", .num_threads = 2, .max_queued_tasks = 1});
  std::vector<std::atomic<int>> hits(64);
  pool.ParallelFor(8, [&](int64_t outer) {
    pool.ParallelFor(8, [&](int64_t inner) {
      ++hits[static_cast<size_t>(outer * 8 + inner)];
    });
  });
  for (const std::atomic<int>& num_hits : hits) EXPECT_EQ(num_hits, 1);
}

}  // namespace
}  // namespace switchyard
