#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_TRAINER_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_TRAINER_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "examples/image_classifier/dataset.h"
#include "examples/image_classifier/progress.h"
#include "examples/image_classifier/remote_layer.h"
#include "examples/image_classifier/report.h"

namespace switchyard::image_classifier {

struct TrainingOptions {
  int64_t num_epochs = 10;
  int64_t batch_size = 64;
  // At the start, see LearningRateAt.
  double learning_rate = 1e-3;
  double aux_loss_coefficient = 0.01;
  uint64_t seed = 0;
  // Threads of the trunk.
  int num_threads = 1;
};

// The learning rate after `done` (from 0 to 1) of all steps: constant for the
// first half, then down to 0 in a straight line.
inline double LearningRateAt(double start, double done) {
  return start * std::min(1.0, 2 * (1 - done));
}

// Width of the hidden layer that the MoE layer stands in for.
inline constexpr int64_t kHiddenSize = 84;

// Adam's decay rates in DeepSpeed's example.
inline constexpr float kAdamBeta1 = 0.8f;
inline constexpr float kAdamBeta2 = 0.999f;
inline constexpr float kAdamEpsilon = 1e-8f;

// Trains and tests the MoE network (unless `layer` is null) and its dense twin,
// batch by batch side by side. Stops after the current batch once `stop` is
// set, and then returns what there is, marked as interrupted. An error is that
// of the call that failed.
absl::StatusOr<TrainingRecord> TrainAndTest(const TrainingOptions& options,
                                            const Dataset& dataset,
                                            RemoteLayer* layer,
                                            const std::atomic<bool>& stop,
                                            ProgressPrinter& progress);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_TRAINER_H_
