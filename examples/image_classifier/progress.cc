#include "examples/image_classifier/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "examples/image_classifier/format.h"

namespace switchyard::image_classifier {
namespace {

constexpr int kDefaultWidth = 80;
constexpr int kLinesPerEpoch = 4;
constexpr int64_t kRedrawIntervalUs = 100'000;

std::string FormatEpoch(const TrainingProgress& progress) {
  return absl::StrFormat(
      "epoch %*d/%d",
      static_cast<int>(absl::StrCat(progress.num_epochs).size()),
      progress.epoch, progress.num_epochs);
}

std::string FormatNetwork(const NetworkProgress& network,
                          absl::string_view accuracy_word) {
  return absl::StrFormat("loss %.3f  %s %.1f %%", network.loss, accuracy_word,
                         100 * network.accuracy);
}

// "12.3k tok/s".
std::string FormatShortSpeed(double tokens_per_second) {
  return absl::StrFormat("%.1fk tok/s", tokens_per_second / 1000);
}

std::string FormatSpeed(double tokens_per_second) {
  return absl::StrCat(FormatCount(std::llround(tokens_per_second)),
                      " tokens/s");
}

struct Wording {
  absl::string_view accuracy;
  std::string speed;
};

// What is said beside the epoch, the most important first.
std::vector<std::string> Fields(const TrainingProgress& progress,
                                const Wording& wording) {
  std::vector<std::string> fields;
  const std::optional<NetworkProgress>& network =
      progress.moe ? progress.moe : progress.dense;
  if (network) fields.push_back(FormatNetwork(*network, wording.accuracy));
  fields.push_back(wording.speed);
  if (!progress.expert_tokens.empty()) {
    fields.push_back(
        absl::StrCat("experts ", FormatBalance(progress.expert_tokens)));
  }
  if (progress.moe && progress.dense) {
    fields.push_back(
        absl::StrCat("dense ", FormatShare(progress.dense->accuracy)));
  }
  fields.push_back(absl::StrCat(FormatMinutes(progress.seconds_left), " left"));
  return fields;
}

std::string Bar(const TrainingProgress& progress, int64_t width) {
  const int64_t filled = width * progress.num_batches_done /
                         std::max<int64_t>(progress.num_batches, 1);
  return absl::StrCat("[", std::string(static_cast<size_t>(filled), '='),
                      std::string(static_cast<size_t>(width - filled), ' '),
                      "]");
}

int TerminalWidth(int descriptor) {
  winsize size = {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return kDefaultWidth;
  }
  return size.ws_col;
}

// Whether this batch is the last of a quarter of the epoch.
bool EndsAPart(const TrainingProgress& progress) {
  const auto part = [&](int64_t batch) {
    return batch * kLinesPerEpoch / progress.num_batches;
  };
  return part(progress.num_batches_done) > part(progress.num_batches_done - 1);
}

}  // namespace

std::string RenderProgressBar(const TrainingProgress& progress, int width) {
  constexpr int64_t kLeastBarWidth = 5;
  constexpr int64_t kMostBarWidth = 30;
  const std::string epoch = FormatEpoch(progress);
  // The brackets and the blank before them.
  constexpr int64_t kBarFrame = 3;
  int64_t left = width - static_cast<int64_t>(epoch.size()) - kBarFrame;
  std::string fields;
  for (const std::string& field : Fields(
           progress, {"acc", FormatShortSpeed(progress.tokens_per_second)})) {
    const int64_t needed = static_cast<int64_t>(field.size()) + 2;
    if (left - needed < kLeastBarWidth) break;
    absl::StrAppend(&fields, "  ", field);
    left -= needed;
  }
  const int64_t bar_width = std::clamp(left, int64_t{0}, kMostBarWidth);
  const std::string line =
      absl::StrCat(epoch, " ", Bar(progress, bar_width), fields);
  return line.substr(0, static_cast<size_t>(std::max(width, 0)));
}

std::string RenderProgressLine(const TrainingProgress& progress) {
  const int64_t percent = 100 * progress.num_batches_done /
                          std::max<int64_t>(progress.num_batches, 1);
  return absl::StrCat(
      FormatEpoch(progress), absl::StrFormat("  %3d %%  ", percent),
      absl::StrJoin(Fields(progress, {"accuracy",
                                      FormatSpeed(progress.tokens_per_second)}),
                    "  "));
}

ProgressPrinter::Style ProgressPrinter::StyleFor(std::FILE* file) {
  return isatty(fileno(file)) == 1 ? Style::kBar : Style::kLines;
}

void ProgressPrinter::Update(const TrainingProgress& progress) {
  switch (style_) {
    case Style::kOff:
      return;
    case Style::kLines:
      if (!EndsAPart(progress)) return;
      absl::FPrintF(file_, "%s\n", RenderProgressLine(progress));
      std::fflush(file_);
      return;
    case Style::kBar:
      DrawBar(progress);
      return;
  }
}

void ProgressPrinter::Finish() {
  if (!in_bar_) return;
  absl::FPrintF(file_, "\n");
  std::fflush(file_);
  in_bar_ = false;
}

void ProgressPrinter::DrawBar(const TrainingProgress& progress) {
  if (in_bar_ && !progress.at_end_of_epoch() &&
      since_drawn_.ElapsedUs() < kRedrawIntervalUs) {
    return;
  }
  since_drawn_ = Stopwatch();
  // One column stays free: in the last one some terminals wrap. \e[K clears
  // what a longer line left behind.
  absl::FPrintF(file_, "\r%s\x1b[K",
                RenderProgressBar(progress, TerminalWidth(fileno(file_)) - 1));
  in_bar_ = true;
  if (progress.at_end_of_epoch()) Finish();
  std::fflush(file_);
}

}  // namespace switchyard::image_classifier
