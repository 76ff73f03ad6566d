#ifndef SWITCHYARD_GATEWAY_GATEWAY_H_
#define SWITCHYARD_GATEWAY_GATEWAY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/api/layer_calls.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "gateway/expert_group.h"
#include "gateway/gateway_metrics.h"
#include "gateway/group/group_directory.h"
#include "gateway/layer/moe_layer.h"
#include "gateway/membership/lease_table.h"

namespace prometheus {
class Registry;
}

namespace switchyard {

struct GatewayOptions {
  // How long a worker stays in the registry without renewing its lease.
  absl::Duration lease_duration = absl::Seconds(10);
  // Limits of each layer's training state.
  MoeLayerLimits layer_limits;
  // Layers at most.
  int64_t max_layers = 4096;
};

// The gateway without its network: layers by name, and the workers that are
// there. services/gateway_service.h puts gRPC in front of it; a program may as
// well link it and call it (embedded/embedded_cluster.h).
//
// Calls block until they are done, late or cancelled. Thread-safe.
class Gateway {
 public:
  // `clock` and `metrics` must outlive the gateway.
  Gateway(GatewayOptions options, Clock& clock, prometheus::Registry& metrics);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Layers. Errors as proto/switchyard/v1/gateway.proto says.
  absl::StatusOr<LayerStatus> CreateLayer(const LayerSpec& spec,
                                          const CallContext& call,
                                          bool awaits_import = false);
  absl::StatusOr<LayerStatus> GetLayer(const std::string& name) const;
  std::vector<LayerStatus> ListLayers() const;
  absl::Status DeleteLayer(const std::string& name, const CallContext& call);

  absl::StatusOr<ForwardResult> Forward(const ForwardRequest& request,
                                        const CallContext& call);
  absl::StatusOr<BackwardResult> Backward(const BackwardRequest& request,
                                          const CallContext& call);
  absl::StatusOr<StepResult> Step(const StepRequest& request,
                                  const CallContext& call);
  absl::StatusOr<TrainStepResult> TrainStep(const TrainStepRequest& request,
                                            const CallContext& call);

  absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request, const CallContext& call);
  absl::Status WriteParameters(const WriteParametersRequest& request,
                               const CallContext& call);

  absl::StatusOr<ImportParametersResult> ImportParameters(
      const ImportParametersRequest& request, const CallContext& call);

  absl::StatusOr<PlacementMap> GetPlacement(const std::string& layer) const;
  // One layer, or all where `layer` is empty.
  absl::StatusOr<std::vector<LayerLoad>> GetLoad(
      const std::string& layer) const;

  // Workers. A worker that registers again replaces its former self, whose
  // experts are lost. Returns the new generation.
  absl::StatusOr<uint64_t> RegisterWorker(const WorkerRegistration& worker,
                                          std::shared_ptr<ExpertGroup> group);
  // NOT_FOUND: no lease; register again.
  absl::Status RenewLease(const std::string& worker_id, uint64_t incarnation);
  absl::Status DeregisterWorker(const std::string& worker_id,
                                uint64_t incarnation);
  WorkerList ListWorkers() const;
  // Takes out workers whose lease has run out. To be called again and again.
  void ExpireLeases();
  // Lets workers that registered as of one group be called as one. To be called
  // again and again; blocks for seconds where workers do not answer.
  void FormGroups() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Duration lease_duration() const { return options_.lease_duration; }

 private:
  // A call to `group` failed: its worker is out, unless it has registered anew.
  void ReportLost(const std::string& worker_id, const ExpertGroup* group,
                  const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Tells every layer that a worker is gone.
  void OnWorkerGone(const std::string& worker_id, const std::string& reason,
                    uint64_t generation) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::shared_ptr<MoeLayer>> FindLayer(
      const std::string& name) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::shared_ptr<MoeLayer>> AllLayers() const
      ABSL_LOCKS_EXCLUDED(mutex_);

  const GatewayOptions options_;
  Clock& clock_;
  GatewayMetrics metrics_;
  GroupDirectory group_directory_{clock_, metrics_};

  mutable Mutex mutex_;
  LeaseTable leases_ ABSL_GUARDED_BY(mutex_);
  // Only groups of workers that are up. Ordered by worker id, so that placement
  // does not depend on the order of registration.
  absl::btree_map<std::string, std::shared_ptr<ExpertGroup>> groups_
      ABSL_GUARDED_BY(mutex_);
  // A layer that is being created has a null entry: its name is taken.
  absl::btree_map<std::string, std::shared_ptr<MoeLayer>> layers_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_GATEWAY_H_
