// What clients ask of a gateway, as plain values: the same for the client
// library, for the gRPC service and for a gateway embedded in the caller's
// process. Mirrors proto/switchyard/v1/gateway.proto, where each field is
// documented.
#ifndef SWITCHYARD_COMMON_API_LAYER_CALLS_H_
#define SWITCHYARD_COMMON_API_LAYER_CALLS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/api/expert_calls.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

enum class LayerState { kServing, kLostExperts, kImporting };
enum class WorkerState { kUp, kLost, kLeft };

// Which workers host which expert. Immutable; a change makes a new one.
struct PlacementMap {
  // From 1.
  uint64_t version = 1;
  // [num_hosted_experts]: ids of the workers with a replica; empty: lost.
  std::vector<std::vector<std::string>> expert_workers;
};

struct LayerStatus {
  LayerSpec spec;
  LayerState state = LayerState::kServing;
  std::string state_reason;
  uint64_t step = 0;
  int32_t num_open_microbatches = 0;
  PlacementMap placement;
};

struct Timing {
  int64_t gateway_us = 0;
  int64_t gate_us = 0;
  int64_t workers_wait_us = 0;
  int64_t worker_compute_us = 0;
};

// Entry t * k + r is choice r of token t.
struct Routes {
  int32_t k = 1;
  // -1: dropped, or the token is unused.
  std::vector<int32_t> expert_ids;
  // 0 where dropped.
  std::vector<int32_t> slots;
  std::vector<float> weights;
};

struct ForwardRequest {
  std::string layer;
  Mode mode = Mode::kEval;
  std::optional<uint32_t> microbatch;
  bool return_routes = false;
  bool allow_non_finite = false;
  // One per token, or empty: all are used.
  std::vector<bool> used_tokens;
  // [..., hidden_size].
  Tensor x;
  // [tokens * k] of a client that routed itself; empty: the layer routes.
  std::vector<int32_t> topk_ids;
  std::vector<float> topk_weights;
  // Where y is to be, if it fits.
  TensorPlace y_place;
};

struct ForwardResult {
  Tensor y;
  float aux_loss = 0;
  std::vector<float> aux_loss_terms;
  std::vector<int64_t> expert_counts;
  std::vector<int64_t> kept_counts;
  int64_t capacity = 0;
  uint64_t step = 0;
  uint32_t microbatch = 0;
  std::optional<Routes> routes;
  Timing timing;
};

struct BackwardRequest {
  std::string layer;
  uint64_t step = 0;
  uint32_t microbatch = 0;
  float grad_aux_loss = 0;
  Tensor grad_y;
};

struct BackwardResult {
  Tensor grad_x;
  // Where the client routed.
  std::vector<float> grad_topk_weights;
  Timing timing;
};

struct StepRequest {
  std::string layer;
  uint64_t step = 0;
  float learning_rate = 0;
  bool discard = false;
};

struct StepResult {
  uint64_t step = 0;
  double grad_norm = 0;
  Timing timing;
};

struct CrossEntropyHead {
  std::vector<int32_t> labels;
};
struct MeanSquaredErrorHead {
  Tensor target;
};
using LossHead = std::variant<CrossEntropyHead, MeanSquaredErrorHead>;

struct TrainStepRequest {
  std::string layer;
  float learning_rate = 0;
  bool return_grad_x = false;
  std::vector<bool> used_tokens;
  LossHead head;
  Tensor x;
};

struct TrainStepResult {
  float loss = 0;
  float head_loss = 0;
  float aux_loss = 0;
  std::vector<int64_t> expert_counts;
  std::vector<int64_t> kept_counts;
  uint64_t step = 0;
  double grad_norm = 0;
  std::optional<Tensor> grad_x;
  Timing timing;
};

struct ReadParametersRequest {
  std::string layer;
  std::vector<std::string> names;
  ParameterKind kind = ParameterKind::kValue;
  std::string cursor;
  // 0: the default.
  int64_t max_page_bytes = 0;
};

struct ReadParametersResult {
  std::vector<ParameterSlice> slices;
  std::string next_cursor;
  uint64_t step = 0;
};

struct WriteParametersRequest {
  std::string layer;
  std::vector<ParameterSlice> slices;
};

struct ImportParametersRequest {
  std::string layer;
  std::string directory;
  uint64_t fingerprint = 0;
  std::vector<int32_t> expert_ids;
  bool finish = false;
};

struct ImportParametersResult {
  std::vector<int32_t> imported_expert_ids;
  std::vector<std::string> refusals;
};

struct WorkerLoad {
  std::string worker_id;
  int64_t routes = 0;
};

struct LayerLoad {
  std::string layer;
  std::vector<int64_t> expert_tokens;
  std::vector<int64_t> train_expert_tokens;
  int64_t dropped_routes = 0;
  int64_t tokens = 0;
  uint64_t steps = 0;
  float aux_loss = 0;
  std::vector<WorkerLoad> workers;
};

struct WorkerStatus {
  std::string worker_id;
  std::string address;
  std::string metrics_address;
  WorkerState state = WorkerState::kUp;
  std::string state_reason;
  int64_t since_renewal_ms = 0;
  // Empty: none.
  std::string group;
  // Whether the group, this worker in it, takes calls as one.
  bool group_connected = false;
};

struct WorkerList {
  std::vector<WorkerStatus> workers;
  uint64_t generation = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_API_LAYER_CALLS_H_
