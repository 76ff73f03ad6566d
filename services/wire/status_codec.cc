#include "services/wire/status_codec.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "services/wire/layer_codec.h"
#include "services/wire/repeated.h"

namespace switchyard::wire {
namespace {

absl::Status RefuseEnum(absl::string_view field, int got,
                        absl::string_view type) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": got ", got, ", expected a value of ", type));
}

absl::StatusOr<LayerState> DecodeState(v1::LayerState state) {
  switch (state) {
    case v1::LAYER_STATE_SERVING:
      return LayerState::kServing;
    case v1::LAYER_STATE_LOST_EXPERTS:
      return LayerState::kLostExperts;
    case v1::LAYER_STATE_IMPORTING:
      return LayerState::kImporting;
    default:
      return RefuseEnum("layer.state", state, "LayerState");
  }
}

v1::LayerState EncodeState(LayerState state) {
  switch (state) {
    case LayerState::kServing:
      return v1::LAYER_STATE_SERVING;
    case LayerState::kLostExperts:
      return v1::LAYER_STATE_LOST_EXPERTS;
    case LayerState::kImporting:
      return v1::LAYER_STATE_IMPORTING;
  }
  return v1::LAYER_STATE_UNSPECIFIED;
}

absl::StatusOr<WorkerState> DecodeState(v1::WorkerState state) {
  switch (state) {
    case v1::WORKER_STATE_UP:
      return WorkerState::kUp;
    case v1::WORKER_STATE_LOST:
      return WorkerState::kLost;
    case v1::WORKER_STATE_LEFT:
      return WorkerState::kLeft;
    default:
      return RefuseEnum("workers.state", state, "WorkerState");
  }
}

v1::WorkerState EncodeState(WorkerState state) {
  switch (state) {
    case WorkerState::kUp:
      return v1::WORKER_STATE_UP;
    case WorkerState::kLost:
      return v1::WORKER_STATE_LOST;
    case WorkerState::kLeft:
      return v1::WORKER_STATE_LEFT;
  }
  return v1::WORKER_STATE_UNSPECIFIED;
}

LayerLoad DecodeLoad(const v1::LayerLoad& message) {
  LayerLoad load;
  load.layer = message.layer();
  load.expert_tokens = ToVector(message.expert_tokens());
  load.train_expert_tokens = ToVector(message.train_expert_tokens());
  load.dropped_routes = message.dropped_routes();
  load.tokens = message.tokens();
  load.steps = message.steps();
  load.aux_loss = message.aux_loss();
  for (const v1::WorkerLoad& worker : message.workers()) {
    load.workers.push_back({worker.worker_id(), worker.routes()});
  }
  return load;
}

void EncodeLoad(const LayerLoad& load, v1::LayerLoad& message) {
  message.set_layer(load.layer);
  Assign(load.expert_tokens, message.mutable_expert_tokens());
  Assign(load.train_expert_tokens, message.mutable_train_expert_tokens());
  message.set_dropped_routes(load.dropped_routes);
  message.set_tokens(load.tokens);
  message.set_steps(load.steps);
  message.set_aux_loss(load.aux_loss);
  for (const WorkerLoad& worker : load.workers) {
    v1::WorkerLoad& added = *message.add_workers();
    added.set_worker_id(worker.worker_id);
    added.set_routes(worker.routes);
  }
}

absl::StatusOr<WorkerStatus> DecodeWorker(const v1::WorkerStatus& message) {
  WorkerStatus worker;
  worker.worker_id = message.worker_id();
  worker.address = message.address();
  worker.metrics_address = message.metrics_address();
  SWITCHYARD_ASSIGN_OR_RETURN(worker.state, DecodeState(message.state()));
  worker.state_reason = message.state_reason();
  worker.since_renewal_ms = message.since_renewal_ms();
  worker.group = message.group();
  worker.group_connected = message.group_connected();
  return worker;
}

void EncodeWorker(const WorkerStatus& worker, v1::WorkerStatus& message) {
  message.set_worker_id(worker.worker_id);
  message.set_address(worker.address);
  message.set_metrics_address(worker.metrics_address);
  message.set_state(EncodeState(worker.state));
  message.set_state_reason(worker.state_reason);
  message.set_since_renewal_ms(worker.since_renewal_ms);
  message.set_group(worker.group);
  message.set_group_connected(worker.group_connected);
}

}  // namespace

absl::StatusOr<LayerStatus> Decode(const v1::LayerStatus& message) {
  LayerStatus status;
  SWITCHYARD_ASSIGN_OR_RETURN(status.spec, Decode(message.spec()));
  SWITCHYARD_ASSIGN_OR_RETURN(status.state, DecodeState(message.state()));
  status.state_reason = message.state_reason();
  status.step = message.step();
  status.num_open_microbatches = message.num_open_microbatches();
  SWITCHYARD_ASSIGN_OR_RETURN(status.placement, Decode(message.placement()));
  return status;
}

v1::LayerStatus Encode(const LayerStatus& status) {
  v1::LayerStatus message;
  *message.mutable_spec() = Encode(status.spec);
  message.set_state(EncodeState(status.state));
  message.set_state_reason(status.state_reason);
  message.set_step(status.step);
  message.set_num_open_microbatches(status.num_open_microbatches);
  *message.mutable_placement() = Encode(status.placement);
  return message;
}

absl::StatusOr<PlacementMap> Decode(const v1::PlacementMap& message) {
  PlacementMap placement;
  placement.version = message.version();
  for (int i = 0; i < message.experts_size(); ++i) {
    const v1::ExpertPlacement& expert = message.experts(i);
    if (expert.expert_id() != i) {
      return absl::InvalidArgumentError(
          absl::StrCat("placement.experts[", i, "].expert_id: got ",
                       expert.expert_id(), ", expected ", i));
    }
    placement.expert_workers.emplace_back(expert.worker_ids().begin(),
                                          expert.worker_ids().end());
  }
  return placement;
}

v1::PlacementMap Encode(const PlacementMap& placement) {
  v1::PlacementMap message;
  message.set_version(placement.version);
  int32_t expert_id = 0;
  for (const std::vector<std::string>& worker_ids : placement.expert_workers) {
    v1::ExpertPlacement& expert = *message.add_experts();
    expert.set_expert_id(expert_id++);
    expert.mutable_worker_ids()->Assign(worker_ids.begin(), worker_ids.end());
  }
  return message;
}

std::vector<LayerLoad> Decode(const v1::GetLoadResponse& message) {
  std::vector<LayerLoad> layers;
  for (const v1::LayerLoad& load : message.layers()) {
    layers.push_back(DecodeLoad(load));
  }
  return layers;
}

v1::GetLoadResponse Encode(const std::vector<LayerLoad>& layers) {
  v1::GetLoadResponse message;
  for (const LayerLoad& load : layers) EncodeLoad(load, *message.add_layers());
  return message;
}

absl::StatusOr<WorkerList> Decode(const v1::ListWorkersResponse& message) {
  WorkerList list;
  for (const v1::WorkerStatus& worker : message.workers()) {
    SWITCHYARD_ASSIGN_OR_RETURN(WorkerStatus decoded, DecodeWorker(worker));
    list.workers.push_back(std::move(decoded));
  }
  list.generation = message.generation();
  return list;
}

v1::ListWorkersResponse Encode(const WorkerList& list) {
  v1::ListWorkersResponse message;
  for (const WorkerStatus& worker : list.workers) {
    EncodeWorker(worker, *message.add_workers());
  }
  message.set_generation(list.generation);
  return message;
}

}  // namespace switchyard::wire
