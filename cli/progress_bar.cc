#include "cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/clock.h"

namespace switchyard {
namespace {

constexpr size_t kBarWidth = 30;
constexpr absl::Duration kRedrawInterval = absl::Milliseconds(100);

struct ByteUnit {
  const char* name;
  double bytes;
};

ByteUnit UnitFor(int64_t num_bytes) {
  constexpr std::array<ByteUnit, 4> kUnits = {
      {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}};
  for (const ByteUnit& unit : kUnits) {
    if (static_cast<double>(num_bytes) >= unit.bytes) return unit;
  }
  return kUnits.back();
}

}  // namespace

std::string FormatProgress(int64_t done_bytes, int64_t total_bytes) {
  const double share = total_bytes == 0 ? 1.0
                                        : static_cast<double>(done_bytes) /
                                              static_cast<double>(total_bytes);
  const size_t filled = std::min(
      kBarWidth, static_cast<size_t>(share * static_cast<double>(kBarWidth)));
  const ByteUnit unit = UnitFor(total_bytes);
  return absl::StrFormat(
      "[%s%s] %5.1f %%  %.1f of %.1f %s", std::string(filled, '#'),
      std::string(kBarWidth - filled, '-'), 100 * share,
      static_cast<double>(done_bytes) / unit.bytes,
      static_cast<double>(total_bytes) / unit.bytes, unit.name);
}

ProgressBar::ProgressBar(std::string what, int64_t total_bytes)
    : what_(std::move(what)),
      total_bytes_(total_bytes),
      is_terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (!is_terminal_) return;
  Draw();
  std::fputs("\n", stderr);
}

void ProgressBar::Add(int64_t num_bytes) {
  done_bytes_ += num_bytes;
  if (!is_terminal_) return;
  const absl::Time now = Clock::Real().Now();
  if (now - drawn_at_ < kRedrawInterval) return;
  drawn_at_ = now;
  Draw();
}

void ProgressBar::Draw() {
  const std::string text = absl::StrCat(
      "\r", what_, " ", FormatProgress(done_bytes_, total_bytes_), "\x1b[K");
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace switchyard
