#ifndef SWITCHYARD_CLI_TABLE_H_
#define SWITCHYARD_CLI_TABLE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace switchyard {

enum class Align { kLeft, kRight };
enum class Colour { kNone, kGreen, kYellow, kRed };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Cell {
  // NOLINTNEXTLINE(google-explicit-constructor): most cells are plain text.
  Cell(std::string cell_text, Colour cell_colour = Colour::kNone)
      : text(std::move(cell_text)), colour(cell_colour) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Cell(const char* cell_text) : text(cell_text) {}

  std::string text;
  Colour colour = Colour::kNone;
};

// Rows of text in columns as wide as their widest cell, two spaces apart.
// Lines carry no spaces at their end. Text comes from other processes, so
// control characters are shown as '?'. Thread-compatible.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell for each column.
  void AddRow(std::vector<Cell> cells);
  // Every line begins with `indent` and ends in a newline.
  std::string ToString(absl::string_view indent, bool with_colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// `text` without control characters, as a Table shows it.
std::string Printable(absl::string_view text);
// In the terminal's escape codes where `with_colour`.
std::string Coloured(absl::string_view text, Colour colour, bool with_colour);
// 1234567 -> "1,234,567".
std::string GroupDigits(int64_t value);
// "1 layer", "2 layers", "1,000 layers".
std::string Counted(int64_t number, absl::string_view noun);
// `part` of `whole`, e.g. "12.5 %"; "-" where `whole` is 0.
std::string Percent(int64_t part, int64_t whole);
// A bar of '#', `width` long where `value` is `max`; at least one mark for any
// value above 0.
std::string Bar(int64_t value, int64_t max, int width);
// Whether `fd` is a terminal and NO_COLOR is not set.
bool WantsColour(int fd);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_TABLE_H_
