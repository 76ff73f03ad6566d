#include "embedded/embedded_cluster.h"

#include <prometheus/registry.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "expert_worker/collective/in_process_collective.h"

namespace switchyard {

EmbeddedCluster::EmbeddedCluster(EmbeddedClusterOptions options)
    : metrics_(std::make_unique<prometheus::Registry>()) {
  // Nobody renews leases in one process.
  options.gateway.lease_duration = absl::InfiniteDuration();
  gateway_ =
      std::make_unique<Gateway>(options.gateway, Clock::Real(), *metrics_);
  const auto network = InProcessNetwork::Create();
  for (int i = 0; i < options.num_workers; ++i) {
    WorkerOptions worker_options = options.worker;
    worker_options.worker_id = absl::StrCat(options.worker_id_prefix, i);
    worker_metrics_.push_back(std::make_unique<prometheus::Registry>());
    workers_.push_back(std::make_unique<Worker>(worker_options, Clock::Real(),
                                                *worker_metrics_.back()));
    if (options.form_group) {
      members_.push_back(std::make_unique<GroupMember>(
          *workers_.back(), [network](int rank, int size) {
            return network->MakeMember(rank, size);
          }));
    }
    const absl::StatusOr<uint64_t> registered = gateway_->RegisterWorker(
        {.worker_id = worker_options.worker_id,
         .address = "in-process",
         .incarnation = 1,
         .group = options.form_group ? "embedded" : ""},
        std::make_shared<InProcessExpertGroup>(
            *workers_.back(),
            options.form_group ? members_.back().get() : nullptr));
    if (!registered.ok()) {
      LogError("embedded worker not registered: ",
               registered.status().ToString());
    }
  }
  gateway_->FormGroups();
}

EmbeddedCluster::~EmbeddedCluster() = default;

}  // namespace switchyard
