#include "common/safetensors/json_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/safetensors/mapped_file.h"

namespace switchyard {

absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text,
                                               absl::string_view name) {
  bool is_too_deep = false;
  const auto watch_depth = [&is_too_deep](int depth,
                                          nlohmann::json::parse_event_t,
                                          const nlohmann::json&) {
    is_too_deep |= depth > kMaxJsonDepth;
    // What is discarded is not built.
    return !is_too_deep;
  };
  nlohmann::json json =
      nlohmann::json::parse(text.begin(), text.end(), watch_depth,
                            /*allow_exceptions=*/false);
  if (is_too_deep) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": got JSON nested deeper than ", kMaxJsonDepth, " levels"));
  }
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": is not a JSON object"));
  }
  return json;
}

absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path) {
  SWITCHYARD_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return ParseJsonObject(file.bytes(), path);
}

}  // namespace switchyard
