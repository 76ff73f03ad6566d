#include "cli/table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace switchyard {
namespace {

constexpr char kGap[] = "  ";

absl::string_view ColourCode(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kGreen:
      return "\033[32m";
    case Colour::kYellow:
      return "\033[33m";
    case Colour::kRed:
      return "\033[31m";
  }
  return "";
}

// Padding and colour stay apart: the codes take no room on the screen.
void AppendCell(std::string& line, const Cell& cell, const Column& column,
                size_t width, bool with_colour) {
  const std::string padding(width - cell.text.size(), ' ');
  if (column.align == Align::kRight) line += padding;
  line += Coloured(cell.text, cell.colour, with_colour);
  if (column.align == Align::kLeft) line += padding;
}

}  // namespace

void Table::AddRow(std::vector<Cell> cells) {
  cells.resize(columns_.size(), Cell(""));
  for (Cell& cell : cells) cell.text = Printable(cell.text);
  rows_.push_back(std::move(cells));
}

std::string Table::ToString(absl::string_view indent, bool with_colour) const {
  std::vector<std::vector<Cell>> lines(1);
  for (const Column& column : columns_) lines[0].emplace_back(column.title);
  lines.insert(lines.end(), rows_.begin(), rows_.end());

  std::vector<size_t> widths(columns_.size(), 0);
  for (const std::vector<Cell>& cells : lines) {
    for (size_t c = 0; c < cells.size(); ++c) {
      widths[c] = std::max(widths[c], cells[c].text.size());
    }
  }
  std::string text;
  for (const std::vector<Cell>& cells : lines) {
    std::string line(indent);
    for (size_t c = 0; c < cells.size(); ++c) {
      if (c > 0) line += kGap;
      AppendCell(line, cells[c], columns_[c], widths[c], with_colour);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

std::string Printable(absl::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return printable;
}

std::string Coloured(absl::string_view text, Colour colour, bool with_colour) {
  if (!with_colour || colour == Colour::kNone || text.empty()) {
    return std::string(text);
  }
  return absl::StrCat(ColourCode(colour), text, "\033[0m");
}

std::string GroupDigits(int64_t value) {
  std::string digits = absl::StrCat(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string Counted(int64_t number, absl::string_view noun) {
  const absl::string_view plural = number == 1                  ? ""
                                   : absl::EndsWith(noun, "ch") ? "es"
                                                                : "s";
  return absl::StrCat(GroupDigits(number), " ", noun, plural);
}

std::string Percent(int64_t part, int64_t whole) {
  if (whole == 0) return "-";
  return absl::StrFormat("%.1f %%", 100.0 * static_cast<double>(part) /
                                        static_cast<double>(whole));
}

std::string Bar(int64_t value, int64_t max, int width) {
  if (value <= 0 || max <= 0) return "";
  const double share = static_cast<double>(value) / static_cast<double>(max);
  const int marks = static_cast<int>(share * width + 0.5);
  return std::string(static_cast<size_t>(std::clamp(marks, 1, width)), '#');
}

bool WantsColour(int fd) {
  const char* const no_colour = std::getenv("NO_COLOR");
  return isatty(fd) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

}  // namespace switchyard
