#ifndef SWITCHYARD_GATEWAY_TRAINING_STEP_ROUTING_H_
#define SWITCHYARD_GATEWAY_TRAINING_STEP_ROUTING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace switchyard {

// What a step's microbatches have routed so far: the counts that balancing over
// the global batch looks at. Thread-compatible.
struct StepRouting {
  // [num_experts] routes before dropping; empty: none yet.
  std::vector<int64_t> expert_counts;

  void Add(absl::Span<const int64_t> counts) {
    expert_counts.resize(counts.size());
    for (size_t e = 0; e < counts.size(); ++e) expert_counts[e] += counts[e];
  }
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_TRAINING_STEP_ROUTING_H_
