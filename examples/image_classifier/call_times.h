#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_CALL_TIMES_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_CALL_TIMES_H_

#include <cstdint>

#include "common/api/layer_calls.h"

namespace switchyard::image_classifier {

// Sums over the calls of one kind.
struct CallTimes {
  int64_t num_calls = 0;
  // From the client's point of view.
  int64_t wall_us = 0;
  // As the gateway accounted for them.
  Timing timing;

  void Add(int64_t call_wall_us, const Timing& call) {
    ++num_calls;
    wall_us += call_wall_us;
    timing.gateway_us += call.gateway_us;
    timing.gate_us += call.gate_us;
    timing.workers_wait_us += call.workers_wait_us;
    timing.worker_compute_us += call.worker_compute_us;
  }
};

struct LayerCallTimes {
  CallTimes forward;
  CallTimes backward;
  CallTimes step;
};

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_CALL_TIMES_H_
