#ifndef SWITCHYARD_COMMON_SAFETENSORS_JSON_FILE_H_
#define SWITCHYARD_COMMON_SAFETENSORS_JSON_FILE_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// Deeper than any configuration; whatever nests more is not one.
inline constexpr int kMaxJsonDepth = 64;

// The JSON object that `text` is. INVALID_ARGUMENT, naming `name`, if it is not
// one or nests deeper than kMaxJsonDepth.
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text,
                                               absl::string_view name);

// The same of a file; see MappedFile::Open for further errors.
absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_JSON_FILE_H_
