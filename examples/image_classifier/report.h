// What training came to, as text.
#ifndef SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REPORT_H_
#define SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/api/layer_calls.h"
#include "examples/image_classifier/call_times.h"

namespace switchyard::image_classifier {

// One network's training.
struct NetworkRecord {
  int64_t num_steps = 0;
  int64_t num_tokens = 0;
  // Wall time of its batches, without the other network's.
  int64_t train_us = 0;
  // Not set: training was interrupted.
  std::optional<double> test_accuracy;
};

// What the MoE layer did in training, as its client saw it.
struct MoeRecord {
  LayerCallTimes call_times;
  // [num_experts] tokens routed before dropping.
  std::vector<int64_t> expert_tokens;
  int64_t num_routes = 0;
  int64_t num_dropped_routes = 0;
  // Of the last training batch.
  double aux_loss = 0;
};

struct TrainingRecord {
  std::string dataset;
  int64_t num_test_images = 0;
  bool interrupted = false;
  // Not set: not trained.
  std::optional<NetworkRecord> moe;
  std::optional<NetworkRecord> dense;
  MoeRecord moe_layer;
};

// The layer as the gateway knows it at the end.
struct LayerRecord {
  LayerStatus status;
  LayerLoad load;
};

// 0 before the first batch.
double TokensPerSecond(const NetworkRecord& network);

// Where the MoE network's training time went. The parts add up to total_us.
struct TimeBreakdown {
  int64_t total_us = 0;
  // Convolutions, linear layers, losses and the optimizer, in this process.
  int64_t client_trunk_us = 0;
  // In the gateway, but not waiting for workers.
  int64_t gateway_us = 0;
  // The slowest worker of each call.
  int64_t workers_us = 0;
  // Serialising, sockets and scheduling, on both legs of the way: client to
  // gateway and gateway to workers.
  int64_t wire_us = 0;
};

TimeBreakdown BreakDown(int64_t train_us, const LayerCallTimes& calls);

// The report for people: accuracies, and where there is a MoE layer
// (`layer` not null) its experts, its workers and its time.
std::string RenderReport(const TrainingRecord& record,
                         const LayerRecord* layer);

// The line for machines: "result: dataset=... ...". `steps`,
// `tokens_per_second` and `seconds` are those of the MoE network's training, or
// of the dense network's where that alone was trained; what does not apply is
// n/a.
std::string RenderResultLine(const TrainingRecord& record,
                             const LayerRecord* layer);

}  // namespace switchyard::image_classifier

#endif  // SWITCHYARD_EXAMPLES_IMAGE_CLASSIFIER_REPORT_H_
