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
// For programs: docs/cli.md lists the fields.
nlohmann::ordered_json StatusToJson(const ClusterStatus& status);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_STATUS_REPORT_H_
