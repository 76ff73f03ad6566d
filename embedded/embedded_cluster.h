#ifndef SWITCHYARD_EMBEDDED_EMBEDDED_CLUSTER_H_
#define SWITCHYARD_EMBEDDED_EMBEDDED_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "embedded/in_process_expert_group.h"
#include "expert_worker/group/group_member.h"
#include "expert_worker/worker.h"
#include "gateway/gateway.h"

namespace prometheus {
class Registry;
}

namespace switchyard {

struct EmbeddedClusterOptions {
  int num_workers = 1;
  // Workers are named prefix0, prefix1, ...
  std::string worker_id_prefix = "w";
  // The workers exchange tokens among themselves, as one group. One that breaks
  // is formed anew by Gateway::FormGroups.
  bool form_group = false;
  GatewayOptions gateway;
  // `worker_id` is set for each.
  WorkerOptions worker;
};

// A gateway and its workers in one process, without a network: for programs
// that want the layer and not the service, and for tests. The same code, and
// bit for bit the same results, as gateway and workers apart. Thread-safe.
class EmbeddedCluster {
 public:
  explicit EmbeddedCluster(EmbeddedClusterOptions options);
  ~EmbeddedCluster();
  EmbeddedCluster(const EmbeddedCluster&) = delete;
  EmbeddedCluster& operator=(const EmbeddedCluster&) = delete;

  Gateway& gateway() { return *gateway_; }
  Worker& worker(int idx) { return *workers_[static_cast<size_t>(idx)]; }
  // Of a group only.
  GroupMember& member(int idx) { return *members_[static_cast<size_t>(idx)]; }
  prometheus::Registry& metrics() { return *metrics_; }

 private:
  // In order of construction: each uses those before it.
  std::unique_ptr<prometheus::Registry> metrics_;
  std::vector<std::unique_ptr<prometheus::Registry>> worker_metrics_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // Empty without a group.
  std::vector<std::unique_ptr<GroupMember>> members_;
  std::unique_ptr<Gateway> gateway_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EMBEDDED_EMBEDDED_CLUSTER_H_
