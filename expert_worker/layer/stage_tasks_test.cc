#include "expert_worker/layer/stage_tasks.h"

#include <gtest/gtest.h>

namespace switchyard {
namespace {

// Every block of every work is in one task, in order.
void ExpectAllBlocksOnce(absl::Span<const StageWork> works,
                         absl::Span<const StageTask> tasks) {
  size_t next = 0;
  for (size_t i = 0; i < works.size(); ++i) {
    int64_t first = 0;
    while (first < works[i].num_blocks) {
      ASSERT_LT(next, tasks.size());
      EXPECT_EQ(tasks[next].work_idx, static_cast<int64_t>(i));
      EXPECT_EQ(tasks[next].blocks.first, first);
      EXPECT_GT(tasks[next].blocks.count, 0);
      first += tasks[next].blocks.count;
      ++next;
    }
    EXPECT_EQ(first, works[i].num_blocks);
  }
  EXPECT_EQ(next, tasks.size());
}

TEST(CutIntoTasksTest, CoversAllBlocks) {
  const StageWork works[] = {{300, 128, 32 * 1024}, {1, 128, 32 * 1024},
                             {0, 7, 32 * 1024},     {5, 0, 1},
                             {64, 1, 32},           {40, 33, 32 * 4096}};
  for (const int64_t num_threads : {1, 2, 7, 64}) {
    ExpectAllBlocksOnce(works, CutIntoTasks(works, num_threads));
  }
}

TEST(CutIntoTasksTest, LargeWorksAreCutForEveryThread) {
  const StageWork works[] = {{1024, 128, 32 * 1024}};
  EXPECT_GE(CutIntoTasks(works, 8).size(), 16u);
}

TEST(CutIntoTasksTest, SmallWorksStayWhole) {
  const StageWork works[] = {{1, 3, 32 * 84}, {2, 3, 32 * 84}};
  EXPECT_EQ(CutIntoTasks(works, 8).size(), 2u);
}

TEST(CutIntoTasksTest, NothingToDoIsNoTask) {
  EXPECT_TRUE(CutIntoTasks({}, 4).empty());
}

}  // namespace
}  // namespace switchyard
