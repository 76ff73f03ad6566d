#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_PROGRESS_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_PROGRESS_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"

namespace switchyard::image_classifier {

// One network's figures since the epoch began.
struct NetworkProgress {
  double loss = 0;
  double accuracy = 0;
};

struct TrainingProgress {
  // From 1.
  int64_t epoch = 1;
  int64_t num_epochs = 1;
  // Batches done in this epoch.
  int64_t num_batches_done = 0;
  int64_t num_batches = 1;
  // Not set: that network is not being trained.
  std::optional<NetworkProgress> moe;
  std::optional<NetworkProgress> dense;
  double tokens_per_second = 0;
  double seconds_left = 0;
  // [num_experts] of this epoch; empty without a MoE network.
  std::vector<int64_t> expert_tokens;

  bool at_end_of_epoch() const { return num_batches_done == num_batches; }
};

// The progress bar: one line of at most `width` columns. What does not fit is
// left out, the least important first.
std::string RenderProgressBar(const TrainingProgress& progress, int width);

// The same for a log, without the bar.
std::string RenderProgressLine(const TrainingProgress& progress);

// Shows how training goes: on a terminal a bar that is redrawn in place and
// stays at the end of each epoch; elsewhere a line at each quarter of an epoch.
// Thread-compatible.
class ProgressPrinter {
 public:
  enum class Style { kOff, kLines, kBar };

  // kBar if `file` is a terminal, else kLines.
  static Style StyleFor(std::FILE* file);

  // `file` must outlive the printer.
  ProgressPrinter(std::FILE* file, Style style) : file_(file), style_(style) {}
  // Ends a bar's line.
  ~ProgressPrinter() { Finish(); }
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  // To be called after each batch.
  void Update(const TrainingProgress& progress);
  // Ends the line of a bar that was left in the middle of an epoch.
  void Finish();

 private:
  void DrawBar(const TrainingProgress& progress);

  std::FILE* const file_;
  const Style style_;
  bool in_bar_ = false;
  Stopwatch since_drawn_;
};

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_PROGRESS_H_
