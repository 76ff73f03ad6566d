// What is there and how it does (layers, placement, load, workers), to and from
// proto/switchyard/v1/gateway.proto and registry.proto.
#ifndef SWITCHYARD_SERVICES_WIRE_STATUS_CODEC_H_
#define SWITCHYARD_SERVICES_WIRE_STATUS_CODEC_H_

#include <vector>

#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"
#include "switchyard/v1/gateway.pb.h"
#include "switchyard/v1/registry.pb.h"

namespace switchyard::wire {

absl::StatusOr<LayerStatus> Decode(const v1::LayerStatus& message);
v1::LayerStatus Encode(const LayerStatus& status);

absl::StatusOr<PlacementMap> Decode(const v1::PlacementMap& message);
v1::PlacementMap Encode(const PlacementMap& placement);

std::vector<LayerLoad> Decode(const v1::GetLoadResponse& message);
v1::GetLoadResponse Encode(const std::vector<LayerLoad>& layers);

absl::StatusOr<WorkerList> Decode(const v1::ListWorkersResponse& message);
v1::ListWorkersResponse Encode(const WorkerList& list);

}  // namespace switchyard::wire

#endif  // SWITCHYARD_SERVICES_WIRE_STATUS_CODEC_H_
