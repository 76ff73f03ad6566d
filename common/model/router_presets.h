#ifndef SWITCHYARD_COMMON_MODEL_ROUTER_PRESETS_H_
#define SWITCHYARD_COMMON_MODEL_ROUTER_PRESETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/gate_spec.h"

namespace switchyard {

// The router of a known model, with its usual k; each is a composition of
// GateSpec's fields and nothing else. Sources: docs/routers.md.
// INVALID_ARGUMENT, listing the names, for an unknown one.
absl::StatusOr<GateSpec> RouterPreset(absl::string_view name);

// In alphabetical order.
std::vector<std::string> RouterPresetNames();

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_ROUTER_PRESETS_H_
