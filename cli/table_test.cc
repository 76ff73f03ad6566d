#include "cli/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace switchyard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(TableTest, AlignsColumnsAndLeavesNoSpacesAtLineEnds) {
  Table table({{"NAME"}, {"TOKENS", Align::kRight}, {"REASON"}});
  table.AddRow({"a", "1,000", ""});
  table.AddRow({"longer", "7", "gone"});
  EXPECT_EQ(table.ToString("  ", false),
            "  NAME    TOKENS  REASON\n"
            "  a        1,000\n"
            "  longer       7  gone\n");
}

TEST(TableTest, WithoutRowsIsItsHeading) {
  EXPECT_EQ(Table({{"A"}, {"B"}}).ToString("", false), "A  B\n");
}

TEST(TableTest, ShortRowsAreFilledUpAndLongOnesCut) {
  Table table({{"A"}, {"B"}});
  table.AddRow({"1"});
  table.AddRow({"1", "2", "3"});
  EXPECT_EQ(table.ToString("", false), "A  B\n1\n1  2\n");
}

TEST(TableTest, ColourTakesNoRoom) {
  Table table({{"STATE"}, {"X"}});
  table.AddRow({Cell("UP", Colour::kGreen), "1"});
  EXPECT_EQ(table.ToString("", true), "STATE  X\n\033[32mUP\033[0m     1\n");
  EXPECT_THAT(table.ToString("", false), Not(HasSubstr("\033")));
}

TEST(TableTest, ControlCharactersFromElsewhereAreNotPassedOn) {
  Table table({{"REASON"}});
  table.AddRow({std::string("bad\033[2Jthing\n")});
  EXPECT_EQ(table.ToString("", false), "REASON\nbad?[2Jthing?\n");
}

TEST(TableTest, GroupsDigits) {
  EXPECT_EQ(GroupDigits(0), "0");
  EXPECT_EQ(GroupDigits(999), "999");
  EXPECT_EQ(GroupDigits(1000), "1,000");
  EXPECT_EQ(GroupDigits(-123456), "-123,456");
  EXPECT_EQ(GroupDigits(1234567), "1,234,567");
  EXPECT_EQ(GroupDigits(std::numeric_limits<int64_t>::min()),
            "-9,223,372,036,854,775,808");
}

TEST(TableTest, CountsInTheRightNumber) {
  EXPECT_EQ(Counted(0, "layer"), "0 layers");
  EXPECT_EQ(Counted(1, "layer"), "1 layer");
  EXPECT_EQ(Counted(2000, "layer"), "2,000 layers");
  EXPECT_EQ(Counted(2, "microbatch"), "2 microbatches");
}

TEST(TableTest, PercentOfNothingIsADash) {
  EXPECT_EQ(Percent(1, 8), "12.5 %");
  EXPECT_EQ(Percent(0, 8), "0.0 %");
  EXPECT_EQ(Percent(0, 0), "-");
}

TEST(TableTest, BarsShowAnyValueAboveZero) {
  EXPECT_EQ(Bar(0, 100, 10), "");
  EXPECT_EQ(Bar(1, 100, 10), "#");
  EXPECT_EQ(Bar(50, 100, 10), "#####");
  EXPECT_EQ(Bar(100, 100, 10), "##########");
  EXPECT_EQ(Bar(0, 0, 10), "");
}

}  // namespace
}  // namespace switchyard
