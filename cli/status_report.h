// What `switchyard status` prints, made from what the gateway answered.
#ifndef SWITCHYARD_CLI_STATUS_REPORT_H_
#define SWITCHYARD_CLI_STATUS_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "common/api/layer_calls.h"

namespace switchyard {

struct ClusterStatus {
  std::string gateway_address;
  WorkerList workers;
  std::vector<LayerStatus> layers;
  // In any order; a layer without an entry has had no tokens.
  std::vector<LayerLoad> loads;
};

struct ReportStyle {
  bool with_colour = false;
  // Most experts listed of one layer; 0: all.
  int max_experts = 64;
};

// For people: a table of workers, then a block for each layer.
std::string FormatStatus(const ClusterStatus& status, const ReportStyle& style);
// One line for each layer.
std::string FormatLayerList(const std::vector<LayerStatus>& layers,
                            bool with_colour);
// For programs. Fields are named as in gateway.proto and registry.proto:
//   gateway, generation,
//   workers[]: worker_id, address, metrics_address, state (UP, LOST, LEFT),
//     state_reason, since_renewal_ms
//   layers[]: name, state (SERVING, LOST_EXPERTS), state_reason, expert_kind,
//     hidden_size, num_experts, k, step, num_open_microbatches,
//     placement_version, tokens, dropped_routes, aux_loss,
//     experts[]: expert_id, worker_ids, tokens, train_tokens
//     workers[]: worker_id, routes
nlohmann::ordered_json StatusToJson(const ClusterStatus& status);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_STATUS_REPORT_H_
