// What the gateway asks of the workers of a group, as plain values: the same
// whether it travels by gRPC (proto/switchyard/v1/worker.proto, where each
// field is documented) or stays in the process.
#ifndef SWITCHYARD_COMMON_API_EXPERT_CALLS_H_
#define SWITCHYARD_COMMON_API_EXPERT_CALLS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"

namespace switchyard {

// The key under which workers keep what Backward needs.
struct MicrobatchKey {
  uint64_t step = 0;
  uint32_t microbatch = 0;
  // Tells a forward from a later one of the same microbatch, which takes its
  // place: one that was given up may still be under way.
  uint64_t attempt = 0;

  friend bool operator==(const MicrobatchKey&, const MicrobatchKey&) = default;
  friend auto operator<=>(const MicrobatchKey&, const MicrobatchKey&) = default;
};

enum class ParameterKind { kValue, kGradient };

// Elements [offset, offset + num_elements) of a flattened parameter.
struct ParameterRange {
  std::string name;
  int64_t offset = 0;
  int64_t num_elements = 0;
};

struct ParameterSlice {
  std::string name;
  // Shape of the whole parameter.
  Shape shape;
  // First element of `values` in the flattened parameter.
  int64_t offset = 0;
  std::vector<float> values;
};

struct LoadExpertsRequest {
  LayerSpec spec;
  std::vector<int32_t> expert_ids;
  uint64_t generation = 0;
};

struct ReadExpertsRequest {
  std::string layer;
  std::vector<ParameterRange> ranges;
  ParameterKind kind = ParameterKind::kValue;
};

struct WriteExpertsRequest {
  std::string layer;
  std::vector<ParameterSlice> slices;
  ParameterKind kind = ParameterKind::kValue;
};

struct ImportExpertsRequest {
  std::string layer;
  std::string directory;
  uint64_t fingerprint = 0;
  std::vector<int32_t> expert_ids;
};

// Makes a call one of a group of workers: every member gets a part of the batch
// and of the routes, and sees to it that they reach the experts
// (expert_worker/group/group_member.h).
struct GroupCall {
  uint64_t group_id = 0;
  // Calls of a group run in this order, on all members; from 0, without gaps.
  uint64_t sequence = 0;
  // Rank of the member that each route goes to.
  std::vector<int32_t> route_ranks;
  // When the client stops waiting. The call's own deadline is later: members
  // agree on what has become of it.
  absl::Time deadline = absl::InfiniteFuture();
};

struct ExpertForwardRequest {
  std::string layer;
  uint64_t generation = 0;
  // Train mode: keep what Backward needs under this key.
  std::optional<MicrobatchKey> keep;
  bool exact_combine = false;
  // Routes ordered by token, then by choice: row of x, expert, weight.
  std::vector<int32_t> route_tokens;
  std::vector<int32_t> route_experts;
  std::vector<float> route_weights;
  // [tokens, hidden_size].
  Tensor x;
  // Where y is to be, if it fits.
  TensorPlace y_place;
  std::optional<GroupCall> group;
};

struct ExpertForwardResult {
  // [tokens, hidden_size] weighted sums, or with exact_combine
  // [routes, hidden_size] unweighted.
  Tensor y;
  int64_t compute_us = 0;
};

struct ExpertBackwardRequest {
  std::string layer;
  uint64_t generation = 0;
  MicrobatchKey key;
  // [tokens, hidden_size], tokens as in the forward.
  Tensor grad_y;
  std::optional<GroupCall> group;
  // Of a group's call only: as in the forward.
  bool exact_combine = false;
  std::vector<int32_t> route_tokens;
};

struct ExpertBackwardResult {
  // [tokens, hidden_size], or with exact_combine [routes, hidden_size]. Both
  // include the routes' weights.
  Tensor grad_x;
  // <grad_y, expert(x)> for each route.
  std::vector<float> route_dots;
  int64_t compute_us = 0;
};

// Asks a worker to become a member of a group.
struct JoinGroupRequest {
  // Names this membership of the group, and no other ever.
  uint64_t group_id = 0;
  int32_t rank = 0;
  int32_t size = 0;
};

struct JoinGroupResult {
  // Where the other members find it: opaque bytes.
  std::string address;
  // Calls of the group that it takes at a time.
  int32_t max_calls = 0;
};

struct ConnectGroupRequest {
  uint64_t group_id = 0;
  // By rank.
  std::vector<std::string> addresses;
};

// Names one step of one layer in one membership.
struct StepKey {
  std::string layer;
  uint64_t generation = 0;
  uint64_t step = 0;
};

struct ExpertGradientSummary {
  int32_t expert_id = 0;
  // In double; NaN or infinite where the gradient is.
  double squared_norm = 0;
};

struct PrepareStepResult {
  // One per hosted expert, in order of expert id.
  std::vector<ExpertGradientSummary> experts;
};

struct HostedLayer {
  std::string layer;
  std::vector<int32_t> expert_ids;
  // Steps committed.
  uint64_t step = 0;
  // Parameters, gradients and optimizer state.
  int64_t parameter_bytes = 0;
};

struct WorkerReport {
  std::string worker_id;
  std::vector<HostedLayer> layers;
  int64_t kept_activation_bytes = 0;
  int64_t max_kept_activation_bytes = 0;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_API_EXPERT_CALLS_H_
