#include "embedded/embedded_cluster.h"

#include <prometheus/registry.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"

namespace switchyard {

EmbeddedCluster::EmbeddedCluster(EmbeddedClusterOptions options)
    : metrics_(std::make_unique<prometheus::Registry>()) {
  // Nobody renews leases in one process.
  options.gateway.lease_duration = absl::InfiniteDuration();
  gateway_ =
      std::make_unique<Gateway>(options.gateway, Clock::Real(), *metrics_);
  for (int i = 0; i < options.num_workers; ++i) {
    WorkerOptions worker_options = options.worker;
    worker_options.worker_id = absl::StrCat(options.worker_id_prefix, i);
    worker_metrics_.push_back(std::make_unique<prometheus::Registry>());
    workers_.push_back(std::make_unique<Worker>(worker_options, Clock::Real(),
                                                *worker_metrics_.back()));
    const absl::StatusOr<uint64_t> registered = gateway_->RegisterWorker(
        {.worker_id = worker_options.worker_id,
         .address = "in-process",
         .incarnation = 1},
        std::make_shared<InProcessExpertGroup>(*workers_.back()));
    if (!registered.ok()) {
      LogError("embedded worker not registered: ",
               registered.status().ToString());
    }
  }
}

EmbeddedCluster::~EmbeddedCluster() = default;

}  // namespace switchyard
