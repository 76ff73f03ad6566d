// Gate and expert descriptions to and from proto/switchyard/v1/layer.proto.
// Nothing here validates ranges: switchyard::Validate does.
#ifndef SWITCHYARD_SERVICES_WIRE_GATE_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_GATE_CODEC_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/expert_spec.h"
#include "common/model/gate_spec.h"
#include "switchyard/v1/layer.pb.h"

namespace switchyard::wire {

// The preset's fields, where one is named, under those that are set.
absl::StatusOr<GateSpec> DecodeGate(const v1::GateSpec& message);
// Sets every field but the preset.
v1::GateSpec EncodeGate(const GateSpec& gate);

// `field`: the expert's name in errors, from `spec` on.
absl::StatusOr<ExpertSpec> DecodeExpert(const v1::ExpertSpec& message,
                                        absl::string_view field);
v1::ExpertSpec EncodeExpert(const ExpertSpec& expert);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_GATE_CODEC_H_
