#include "expert_worker/store/scratch_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace switchyard {
namespace {

TEST(ScratchSlotsTest, NoTwoTasksHoldOneSlot) {
  ThreadPool pool({.name = "test", .num_threads = 3});
  constexpr int64_t kNumTasks = 200;
  ScratchSlots<std::vector<int>> slots(MaxTasksAtOnce(pool, kNumTasks),
                                       [] { return std::vector<int>(1, 0); });
  std::atomic<int> num_shared = 0;
  pool.ParallelFor(kNumTasks, [&](int64_t) {
    const auto loan = slots.Take();
    if (++(*loan)[0] != 1) ++num_shared;
    --(*loan)[0];
  });
  EXPECT_EQ(num_shared, 0);
}

TEST(ScratchSlotsTest, ThereAreNoMoreSlotsThanTasks) {
  ThreadPool pool({.name = "test", .num_threads = 3});
  EXPECT_EQ(MaxTasksAtOnce(pool, 2), 2);
  EXPECT_EQ(MaxTasksAtOnce(pool, 100), 4);
}

}  // namespace
}  // namespace switchyard
