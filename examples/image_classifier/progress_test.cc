#include "examples/image_classifier/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "absl/strings/str_split.h"

namespace switchyard::image_classifier {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TrainingProgress Halfway() {
  TrainingProgress progress;
  progress.epoch = 3;
  progress.num_epochs = 10;
  progress.num_batches_done = 50;
  progress.num_batches = 100;
  progress.moe = NetworkProgress{0.4321, 0.851};
  progress.dense = NetworkProgress{0.3, 0.862};
  progress.tokens_per_second = 12345.4;
  progress.seconds_left = 95;
  progress.expert_tokens = {26, 24, 25, 25};
  return progress;
}

TEST(ProgressBarTest, SaysEverythingWhereThereIsRoom) {
  EXPECT_EQ(RenderProgressBar(Halfway(), 160),
            "epoch  3/10 [===============               ]  loss 0.432  "
            "acc 85.1 %  12.3k tok/s  experts 26 24 25 25 %  dense 86.2 %  "
            "1:35 left");
}

TEST(ProgressBarTest, LeavesOutTheLeastImportantOn80Columns) {
  EXPECT_EQ(RenderProgressBar(Halfway(), 79),
            "epoch  3/10 [==   ]  loss 0.432  acc 85.1 %  12.3k tok/s  "
            "experts 26 24 25 25 %");
}

TEST(ProgressBarTest, NeverExceedsTheTerminal) {
  for (int width = 0; width < 200; ++width) {
    EXPECT_THAT(RenderProgressBar(Halfway(), width),
                SizeIs(::testing::Le(static_cast<size_t>(width))));
  }
}

TEST(ProgressBarTest, IsFullAtTheEndOfAnEpoch) {
  TrainingProgress progress = Halfway();
  progress.num_batches_done = progress.num_batches;
  EXPECT_THAT(RenderProgressBar(progress, 160), Not(HasSubstr("= ")));
}

TEST(ProgressLineTest, ShowsTheDenseTwinWhereItIsAlone) {
  TrainingProgress progress = Halfway();
  progress.moe.reset();
  progress.expert_tokens.clear();
  EXPECT_EQ(RenderProgressLine(progress),
            "epoch  3/10   50 %  loss 0.300  accuracy 86.2 %  12,345 tokens/s "
            " 1:35 left");
}

class ProgressPrinterTest : public ::testing::Test {
 protected:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::vector<std::string> PrintedLines(int64_t num_batches) {
    return absl::StrSplit(
        PrintEpoch(ProgressPrinter::Style::kLines, num_batches), '\n');
  }

  // What a whole epoch of `num_batches` prints.
  std::string PrintEpoch(ProgressPrinter::Style style, int64_t num_batches) {
    ProgressPrinter printer(file_.get(), style);
    TrainingProgress progress = Halfway();
    progress.num_batches = num_batches;
    for (int64_t i = 1; i <= num_batches; ++i) {
      progress.num_batches_done = i;
      printer.Update(progress);
    }
    std::array<char, 4096> text;
    std::rewind(file_.get());
    return {text.data(), std::fread(text.data(), 1, text.size(), file_.get())};
  }

  std::unique_ptr<std::FILE, Close> file_{std::tmpfile()};
};

TEST_F(ProgressPrinterTest, AFileIsNoTerminal) {
  EXPECT_EQ(ProgressPrinter::StyleFor(file_.get()),
            ProgressPrinter::Style::kLines);
}

TEST_F(ProgressPrinterTest, PrintsALineForEachQuarterOfAnEpoch) {
  EXPECT_THAT(PrintedLines(10),
              ElementsAre(StartsWith("epoch  3/10   30 %"),
                          StartsWith("epoch  3/10   50 %"),
                          StartsWith("epoch  3/10   80 %"),
                          StartsWith("epoch  3/10  100 %"), ""));
}

TEST_F(ProgressPrinterTest, PrintsEveryBatchOfAnEpochShorterThanThat) {
  EXPECT_THAT(PrintedLines(2),
              ElementsAre(StartsWith("epoch  3/10   50 %"),
                          StartsWith("epoch  3/10  100 %"), ""));
}

TEST_F(ProgressPrinterTest, ABarStaysAtTheEndOfItsEpoch) {
  EXPECT_THAT(PrintEpoch(ProgressPrinter::Style::kBar, 1000),
              AllOf(StartsWith("\repoch"), ::testing::EndsWith("\x1b[K\n")));
}

TEST_F(ProgressPrinterTest, IsSilentWhenOff) {
  EXPECT_EQ(PrintEpoch(ProgressPrinter::Style::kOff, 10), "");
}

}  // namespace
}  // namespace switchyard::image_classifier
