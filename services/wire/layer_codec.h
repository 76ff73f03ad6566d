// Layer descriptions to and from proto/switchyard/v1/layer.proto.
#ifndef SWITCHYARD_SERVICES_WIRE_LAYER_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_LAYER_CODEC_H_

#include "absl/status/statusor.h"
#include "common/model/layer_spec.h"
#include "switchyard/v1/layer.pb.h"

namespace switchyard::wire {

// Fills the defaults in and validates: what comes back has passed
// switchyard::Validate. Fields are named from `spec` on.
absl::StatusOr<LayerSpec> Decode(const v1::LayerSpec& message);

// Sets every field, defaults too.
v1::LayerSpec Encode(const LayerSpec& spec);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_LAYER_CODEC_H_
