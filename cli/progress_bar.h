#ifndef SWITCHYARD_CLI_PROGRESS_BAR_H_
#define SWITCHYARD_CLI_PROGRESS_BAR_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace switchyard {

// How many bytes of a long transfer are done, on standard error and only where
// that is a terminal. Not thread-safe.
class ProgressBar {
 public:
  ProgressBar(std::string what, int64_t total_bytes);
  // Leaves a line of its own behind.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Add(int64_t num_bytes);
  int64_t done_bytes() const { return done_bytes_; }

 private:
  void Draw();

  const std::string what_;
  const int64_t total_bytes_;
  const bool is_terminal_;
  int64_t done_bytes_ = 0;
  absl::Time drawn_at_ = absl::InfinitePast();
};

// "[####----]  50.0 %  1.0 of 2.0 GiB".
std::string FormatProgress(int64_t done_bytes, int64_t total_bytes);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_PROGRESS_BAR_H_
