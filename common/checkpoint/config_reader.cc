#include "common/checkpoint/config_reader.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

constexpr int64_t kMaxInteger = (int64_t{1} << 31) - 1;

// A value as messages show it: short, whatever it is.
std::string Shown(const nlohmann::json* value) {
  if (value == nullptr) return "nothing";
  constexpr size_t kMaxShown = 100;
  std::string text =
      value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxShown) text.replace(kMaxShown, text.npos, "...");
  return text;
}

}  // namespace

const nlohmann::json* ConfigReader::Find(absl::string_view field) const {
  const auto found = object_.find(std::string(field));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

absl::Status ConfigReader::Refuse(absl::string_view field,
                                  absl::string_view expected) const {
  return absl::InvalidArgumentError(absl::StrCat(
      prefix_, field, ": got ", Shown(Find(field)), ", expected ", expected));
}

absl::StatusOr<int64_t> ConfigReader::ToInteger(absl::string_view field,
                                                const nlohmann::json& value,
                                                int64_t low) const {
  // Unsigned above int64's range wraps to a negative: checked by its type.
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<uint64_t>() <= uint64_t{kMaxInteger}) &&
                    value.get<int64_t>() >= low &&
                    value.get<int64_t>() <= kMaxInteger;
  if (fits) return value.get<int64_t>();
  return Refuse(field, absl::StrCat("an integer of at least ", low));
}

absl::StatusOr<int64_t> ConfigReader::Integer(
    absl::string_view field, int64_t low,
    std::optional<int64_t> fallback) const {
  const nlohmann::json* const value = Find(field);
  if (value != nullptr) return ToInteger(field, *value, low);
  if (fallback.has_value()) return *fallback;
  return Refuse(field, absl::StrCat("an integer of at least ", low));
}

absl::StatusOr<int64_t> ConfigReader::Integer(
    std::initializer_list<const char*> fields, int64_t low) const {
  for (const char* field : fields) {
    if (Has(field)) return Integer(field, low);
  }
  return Refuse(absl::StrJoin(fields, " or "),
                absl::StrCat("an integer of at least ", low));
}

absl::StatusOr<float> ConfigReader::Number(absl::string_view field,
                                           float fallback) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const auto number = value->get<float>();
    if (std::isfinite(number)) return number;
  }
  return Refuse(field, "a finite number");
}

absl::StatusOr<bool> ConfigReader::Boolean(absl::string_view field,
                                           bool fallback) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  return Refuse(field, "true or false");
}

absl::StatusOr<std::string> ConfigReader::String(
    absl::string_view field, absl::string_view fallback) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr) return std::string(fallback);
  if (value->is_string()) return value->get<std::string>();
  return Refuse(field, "a string");
}

absl::StatusOr<std::optional<std::vector<int64_t>>> ConfigReader::Integers(
    absl::string_view field) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr) return std::optional<std::vector<int64_t>>();
  if (!value->is_array()) return Refuse(field, "a list of integers");
  std::vector<int64_t> integers;
  for (const nlohmann::json& element : *value) {
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t integer,
                                ToInteger(field, element, 0));
    integers.push_back(integer);
  }
  return std::optional(std::move(integers));
}

absl::StatusOr<int64_t> ConfigReader::IntegerOfLayer(absl::string_view field,
                                                     int64_t layer,
                                                     int64_t num_layers,
                                                     int64_t low) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr || !value->is_array()) return Integer(field, low);
  if (static_cast<int64_t>(value->size()) < num_layers) {
    return Refuse(field, absl::StrCat("an integer or a list of ", num_layers));
  }
  return ToInteger(field, (*value)[static_cast<size_t>(layer)], low);
}

absl::Status ConfigReader::Expect(absl::string_view field,
                                  const nlohmann::json& expected) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr || *value == expected) return absl::OkStatus();
  return Refuse(field, absl::StrCat(Shown(&expected), ", or nothing"));
}

absl::StatusOr<ConfigReader> ConfigReader::Object(
    absl::string_view field) const {
  const nlohmann::json* const value = Find(field);
  if (value == nullptr || !value->is_object()) {
    return Refuse(field, "an object");
  }
  return ConfigReader(*value, absl::StrCat(prefix_, field, "."));
}

}  // namespace switchyard
