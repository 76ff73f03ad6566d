#include "services/main/flag_checks.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace switchyard {
namespace {

absl::Status Refuse(absl::string_view field, absl::string_view got,
                    absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": got '", absl::CHexEscape(got.substr(0, 256)),
                   "', expected ", expected));
}

}  // namespace

absl::StatusOr<int64_t> ParseInteger(const std::string& text,
                                     IntegerRange range,
                                     absl::string_view field) {
  int64_t value;
  if (!absl::SimpleAtoi(text, &value) || value < range.min ||
      value > range.max) {
    return Refuse(
        field, text,
        absl::StrCat("an integer from ", range.min, " to ", range.max));
  }
  return value;
}

absl::Status CheckChoice(const std::string& text,
                         const std::vector<std::string>& choices,
                         absl::string_view field) {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) {
    return absl::OkStatus();
  }
  return Refuse(field, text,
                absl::StrCat("one of ", absl::StrJoin(choices, ", ")));
}

absl::Status CheckWorkerId(const std::string& text, absl::string_view field) {
  constexpr char kAllowed[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:-";
  if (!text.empty() && text.size() <= 128 &&
      text.find_first_not_of(kAllowed) == std::string::npos) {
    return absl::OkStatus();
  }
  return Refuse(field, text, "1 to 128 characters out of [A-Za-z0-9._/:-]");
}

absl::Status CheckHost(const std::string& text, absl::string_view field) {
  constexpr char kAllowed[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
  if (!text.empty() && text.size() <= 253 &&
      text.find_first_not_of(kAllowed) == std::string::npos) {
    return absl::OkStatus();
  }
  return Refuse(field, text, "the name or IP address of a host");
}

absl::Status CheckDirectory(const std::string& text, absl::string_view field) {
  std::error_code error;
  if (!text.empty() && text.front() == '/' &&
      std::filesystem::is_directory(text, error)) {
    return absl::OkStatus();
  }
  return Refuse(field, text, "an absolute path to a directory that is there");
}

}  // namespace switchyard
