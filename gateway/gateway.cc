#include "gateway/gateway.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace switchyard {

Gateway::Gateway(GatewayOptions options, Clock& clock,
                 prometheus::Registry& metrics)
    : options_(std::move(options)),
      clock_(clock),
      metrics_(metrics),
      leases_(options_.lease_duration) {}

Gateway::~Gateway() = default;

absl::StatusOr<LayerStatus> Gateway::CreateLayer(const LayerSpec& spec,
                                                 const CallContext& call,
                                                 bool awaits_import) {
  SWITCHYARD_RETURN_IF_ERROR(Validate(spec));
  absl::btree_map<std::string, std::shared_ptr<ExpertGroup>> groups;
  uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    if (layers_.contains(spec.name)) {
      return absl::AlreadyExistsError(absl::StrCat(
          "spec.name: got '", spec.name, "', expected a name not in use"));
    }
    if (static_cast<int64_t>(layers_.size()) >= options_.max_layers) {
      return absl::ResourceExhaustedError(
          absl::StrCat("there are ", layers_.size(), " layers, at most ",
                       options_.max_layers, " may exist"));
    }
    layers_[spec.name] = nullptr;
    groups = groups_;
    generation = leases_.generation();
  }
  MoeLayerEnvironment environment = {
      .limits = options_.layer_limits,
      .clock = clock_,
      .metrics = metrics_,
      .groups = group_directory_,
      .awaits_import = awaits_import,
      .report_lost = [this](const std::string& worker_id,
                            const ExpertGroup* group,
                            const absl::Status& status) {
        ReportLost(worker_id, group, status);
      }};
  absl::StatusOr<std::shared_ptr<MoeLayer>> layer =
      MoeLayer::Create(spec, groups, generation, std::move(environment), call);
  absl::btree_map<std::string, std::shared_ptr<ExpertGroup>> groups_now;
  {
    MutexLock lock(mutex_);
    if (!layer.ok()) {
      layers_.erase(spec.name);
      return layer.status();
    }
    layers_[spec.name] = *layer;
    groups_now = groups_;
    generation = leases_.generation();
  }
  // A worker that went while its experts were loaded did not find this layer in
  // the table.
  for (const auto& [worker_id, group] : groups) {
    const auto it = groups_now.find(worker_id);
    if (it == groups_now.end() || it->second != group) {
      (*layer)->OnWorkerGone(worker_id, "it went during CreateLayer",
                             generation);
    }
  }
  LogInfo("layer '", spec.name, "' created: ", spec.num_experts,
          " experts, hidden_size ", spec.hidden_size);
  return (*layer)->Status();
}

absl::StatusOr<LayerStatus> Gateway::GetLayer(const std::string& name) const {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(name));
  return layer->Status();
}

std::vector<LayerStatus> Gateway::ListLayers() const {
  std::vector<LayerStatus> statuses;
  for (const auto& layer : AllLayers()) statuses.push_back(layer->Status());
  return statuses;
}

absl::Status Gateway::DeleteLayer(const std::string& name,
                                  const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(name));
  // The name stays taken until the workers have let go of it.
  layer->Unload(call);
  MutexLock lock(mutex_);
  layers_.erase(name);
  LogInfo("layer '", name, "' deleted");
  return absl::OkStatus();
}

absl::StatusOr<ForwardResult> Gateway::Forward(const ForwardRequest& request,
                                               const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->Forward(request, call);
}

absl::StatusOr<BackwardResult> Gateway::Backward(const BackwardRequest& request,
                                                 const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->Backward(request, call);
}

absl::StatusOr<StepResult> Gateway::Step(const StepRequest& request,
                                         const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->Step(request, call);
}

absl::StatusOr<TrainStepResult> Gateway::TrainStep(
    const TrainStepRequest& request, const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->TrainStep(request, call);
}

absl::StatusOr<ReadParametersResult> Gateway::ReadParameters(
    const ReadParametersRequest& request, const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->ReadParameters(request, call);
}

absl::Status Gateway::WriteParameters(const WriteParametersRequest& request,
                                      const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->WriteParameters(request, call);
}

absl::StatusOr<ImportParametersResult> Gateway::ImportParameters(
    const ImportParametersRequest& request, const CallContext& call) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto layer, FindLayer(request.layer));
  return layer->ImportParameters(request, call);
}

absl::StatusOr<PlacementMap> Gateway::GetPlacement(
    const std::string& layer) const {
  SWITCHYARD_ASSIGN_OR_RETURN(LayerStatus status, GetLayer(layer));
  return std::move(status.placement);
}

absl::StatusOr<std::vector<LayerLoad>> Gateway::GetLoad(
    const std::string& layer) const {
  std::vector<LayerLoad> loads;
  if (layer.empty()) {
    for (const auto& each : AllLayers()) loads.push_back(each->Load());
    return loads;
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const auto found, FindLayer(layer));
  loads.push_back(found->Load());
  return loads;
}

absl::StatusOr<uint64_t> Gateway::RegisterWorker(
    const WorkerRegistration& worker, std::shared_ptr<ExpertGroup> group) {
  bool replaced = false;
  uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    SWITCHYARD_RETURN_IF_ERROR(
        leases_.Register(worker, clock_.Now(), replaced));
    groups_[worker.worker_id] = std::move(group);
    generation = leases_.generation();
    metrics_.SetWorkersUp(leases_.num_up());
  }
  LogInfo("worker '", worker.worker_id, "' registered at ", worker.address);
  if (replaced) {
    OnWorkerGone(worker.worker_id, "it registered anew", generation);
  }
  return generation;
}

absl::Status Gateway::RenewLease(const std::string& worker_id,
                                 uint64_t incarnation) {
  MutexLock lock(mutex_);
  return leases_.Renew(worker_id, incarnation, clock_.Now());
}

absl::Status Gateway::DeregisterWorker(const std::string& worker_id,
                                       uint64_t incarnation) {
  uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    SWITCHYARD_RETURN_IF_ERROR(leases_.Leave(worker_id, incarnation));
    groups_.erase(worker_id);
    generation = leases_.generation();
    metrics_.SetWorkersUp(leases_.num_up());
  }
  LogInfo("worker '", worker_id, "' left");
  OnWorkerGone(worker_id, "it deregistered", generation);
  return absl::OkStatus();
}

WorkerList Gateway::ListWorkers() const {
  WorkerList list;
  absl::btree_map<std::string, std::shared_ptr<ExpertGroup>> groups;
  {
    MutexLock lock(mutex_);
    list = {.workers = leases_.List(clock_.Now()),
            .generation = leases_.generation()};
    groups = groups_;
  }
  for (WorkerStatus& worker : list.workers) {
    const auto it = groups.find(worker.worker_id);
    worker.group_connected =
        it != groups.end() &&
        group_directory_.Find(it->second.get()).has_value();
  }
  return list;
}

void Gateway::FormGroups() {
  GroupDirectory::Groups groups;
  {
    MutexLock lock(mutex_);
    for (const WorkerStatus& worker : leases_.List(clock_.Now())) {
      const auto it = groups_.find(worker.worker_id);
      if (worker.group.empty() || it == groups_.end()) continue;
      groups[worker.group].push_back({worker.worker_id, it->second});
    }
  }
  group_directory_.Form(groups);
}

void Gateway::ExpireLeases() {
  std::vector<std::string> expired;
  uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    expired = leases_.Expire(clock_.Now());
    for (const std::string& worker_id : expired) groups_.erase(worker_id);
    generation = leases_.generation();
    metrics_.SetWorkersUp(leases_.num_up());
  }
  for (const std::string& worker_id : expired) {
    metrics_.CountLostWorker();
    LogWarning("worker '", worker_id, "' lost: its lease ran out");
    OnWorkerGone(worker_id, "its lease ran out", generation);
  }
}

void Gateway::ReportLost(const std::string& worker_id, const ExpertGroup* group,
                         const absl::Status& status) {
  const std::string reason = absl::StrCat("call failed: ", status.message());
  uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    const auto it = groups_.find(worker_id);
    // Someone else reported it first, or it has registered anew since.
    if (it == groups_.end() || it->second.get() != group) return;
    leases_.MarkLost(worker_id, reason);
    groups_.erase(it);
    generation = leases_.generation();
    metrics_.SetWorkersUp(leases_.num_up());
  }
  metrics_.CountLostWorker();
  LogWarning("worker '", worker_id, "' lost: ", reason);
  OnWorkerGone(worker_id, reason, generation);
}

void Gateway::OnWorkerGone(const std::string& worker_id,
                           const std::string& reason, uint64_t generation) {
  for (const auto& layer : AllLayers()) {
    layer->OnWorkerGone(worker_id, reason, generation);
  }
}

absl::StatusOr<std::shared_ptr<MoeLayer>> Gateway::FindLayer(
    const std::string& name) const {
  MutexLock lock(mutex_);
  const auto it = layers_.find(name);
  if (it != layers_.end() && it->second != nullptr) return it->second;
  return absl::NotFoundError(
      absl::StrCat("layer: got '", absl::CHexEscape(name.substr(0, 256)),
                   "', expected the name of a layer that exists"));
}

std::vector<std::shared_ptr<MoeLayer>> Gateway::AllLayers() const {
  std::vector<std::shared_ptr<MoeLayer>> layers;
  MutexLock lock(mutex_);
  for (const auto& [name, layer] : layers_) {
    if (layer != nullptr) layers.push_back(layer);
  }
  return layers;
}

}  // namespace switchyard
