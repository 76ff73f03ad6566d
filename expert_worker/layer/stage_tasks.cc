#include "expert_worker/layer/stage_tasks.h"

#include <algorithm>

namespace switchyard {
namespace {

// A task takes about 20 us at least, ten times what it costs to hand it out.
constexpr int64_t kMinTaskCost = int64_t{1} << 20;
constexpr int64_t kTasksPerThread = 12;
// A task packs all rows of its left operand: a cost of which a block should
// bear little.
constexpr int64_t kMinBlocks = 4;
// Fewer rows take as long as these: the weights have to be read.
constexpr int64_t kMinRows = 8;

int64_t BlockCost(const StageWork& work) {
  return work.multiply_adds * std::max(work.num_rows, kMinRows);
}

int64_t TotalCost(absl::Span<const StageWork> works) {
  int64_t cost = 0;
  for (const StageWork& work : works) cost += work.num_blocks * BlockCost(work);
  return cost;
}

}  // namespace

bool WorthSharing(absl::Span<const StageWork> works) {
  return TotalCost(works) > kMinTaskCost;
}

std::vector<StageTask> CutIntoTasks(absl::Span<const StageWork> works,
                                    int64_t num_threads) {
  const int64_t task_cost = std::max(
      kMinTaskCost, TotalCost(works) / (num_threads * kTasksPerThread));
  std::vector<StageTask> tasks;
  // At most one small one for each piece of work beside those of full cost.
  tasks.reserve(works.size() +
                static_cast<size_t>(num_threads * kTasksPerThread));
  for (size_t i = 0; i < works.size(); ++i) {
    const StageWork& work = works[i];
    const int64_t blocks_per_task =
        std::max(kMinBlocks, task_cost / std::max<int64_t>(BlockCost(work), 1));
    for (int64_t first = 0; first < work.num_blocks; first += blocks_per_task) {
      tasks.push_back({.work_idx = static_cast<int64_t>(i),
                       .blocks = {first, std::min(blocks_per_task,
                                                  work.num_blocks - first)}});
    }
  }
  return tasks;
}

}  // namespace switchyard
