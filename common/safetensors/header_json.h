#ifndef SWITCHYARD_COMMON_SAFETENSORS_HEADER_JSON_H_
#define SWITCHYARD_COMMON_SAFETENSORS_HEADER_JSON_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/safetensors/header.h"

namespace switchyard {

// Reads entries, in the order of the text, and metadata of a header's JSON.
// Nothing is said yet of shapes and offsets beyond their being integers. Takes
// the text event by event: its nesting and repeated names are seen as they
// come, whatever their number.
absl::Status ParseHeaderJson(absl::string_view json, SafetensorsHeader& header);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_HEADER_JSON_H_
