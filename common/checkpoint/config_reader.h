#ifndef SWITCHYARD_COMMON_CHECKPOINT_CONFIG_READER_H_
#define SWITCHYARD_COMMON_CHECKPOINT_CONFIG_READER_H_

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// Reads fields of a config.json. A field that is absent or null has the default
// that the reader's caller gives, which is that of the model's own code; errors
// are INVALID_ARGUMENT and name the file, the field, what it has and what was
// expected. Keeps a reference to the JSON. Immutable.
class ConfigReader {
 public:
  // `prefix` stands before field names in errors: "config.json: text_config.".
  ConfigReader(const nlohmann::json& object, absl::string_view prefix)
      : object_(object), prefix_(prefix) {}

  bool Has(absl::string_view field) const { return Find(field) != nullptr; }

  // An integer in [low, 2^31). Required without a default.
  absl::StatusOr<int64_t> Integer(absl::string_view field, int64_t low,
                                  std::optional<int64_t> fallback = {}) const;

  // The first of `fields` that is there: a field that was renamed.
  absl::StatusOr<int64_t> Integer(std::initializer_list<const char*> fields,
                                  int64_t low) const;

  // A finite number.
  absl::StatusOr<float> Number(absl::string_view field, float fallback) const;

  absl::StatusOr<bool> Boolean(absl::string_view field, bool fallback) const;

  absl::StatusOr<std::string> String(absl::string_view field,
                                     absl::string_view fallback) const;

  // nullopt if absent or null.
  absl::StatusOr<std::optional<std::vector<int64_t>>> Integers(
      absl::string_view field) const;

  // An integer for all layers or a list with one for each of `num_layers`: the
  // one for `layer`.
  absl::StatusOr<int64_t> IntegerOfLayer(absl::string_view field, int64_t layer,
                                         int64_t num_layers, int64_t low) const;

  // Refuses a field that is there and is not `expected`.
  absl::Status Expect(absl::string_view field,
                      const nlohmann::json& expected) const;

  // The object in a field.
  absl::StatusOr<ConfigReader> Object(absl::string_view field) const;

  absl::Status Refuse(absl::string_view field,
                      absl::string_view expected) const;

 private:
  const nlohmann::json* Find(absl::string_view field) const;
  absl::StatusOr<int64_t> ToInteger(absl::string_view field,
                                    const nlohmann::json& value,
                                    int64_t low) const;

  const nlohmann::json& object_;
  std::string prefix_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CHECKPOINT_CONFIG_READER_H_
