#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_STAGE_TASKS_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_STAGE_TASKS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/linalg/panel_layout.h"
#include "common/linalg/panel_products.h"

namespace switchyard {

// What one stage of a pass has to do for one expert's rows.
struct StageWork {
  int64_t num_rows = 0;
  int64_t num_blocks = 0;
  // Of one block for one row.
  int64_t multiply_adds = 0;
};

struct StageTask {
  // Position in the works.
  int64_t work_idx = 0;
  PanelRange blocks;
};

// Cuts works into tasks of about the same cost, in their order: several for
// each of `num_threads`, so that threads that are held up are helped out, but
// none so small that handing it out would show. A pure function.
std::vector<StageTask> CutIntoTasks(absl::Span<const StageWork> works,
                                    int64_t num_threads);

// Whether works are large enough to wake other threads for.
bool WorthSharing(absl::Span<const StageWork> works);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_STAGE_TASKS_H_
