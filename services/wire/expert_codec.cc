#include "services/wire/expert_codec.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "services/wire/layer_codec.h"
#include "services/wire/repeated.h"
#include "services/wire/tensor_codec.h"

namespace switchyard::wire {
namespace {

// As NumElements bounds a tensor; sums of two such cannot overflow.
constexpr int64_t kMaxElements = int64_t{1} << 40;

absl::StatusOr<ParameterRange> DecodeRange(const v1::ParameterRange& message,
                                           int idx) {
  const auto check = [idx](absl::string_view field, int64_t value) {
    if (value >= 0 && value <= kMaxElements) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "ranges[", idx, "].", field, ": got ", value, ", expected 0 to 2^40"));
  };
  SWITCHYARD_RETURN_IF_ERROR(check("offset", message.offset()));
  SWITCHYARD_RETURN_IF_ERROR(check("num_elements", message.num_elements()));
  ParameterRange range;
  range.name = message.name();
  range.offset = message.offset();
  range.num_elements = message.num_elements();
  return range;
}

void EncodeKey(const MicrobatchKey& key, v1::MicrobatchKey& message) {
  message.set_step(key.step);
  message.set_microbatch(key.microbatch);
  message.set_attempt(key.attempt);
}

void EncodeGroup(const GroupCall& group, v1::GroupCall& message) {
  message.set_group_id(group.group_id);
  message.set_sequence(group.sequence);
  Assign(group.route_ranks, message.mutable_route_ranks());
  const absl::Duration left = group.deadline - Clock::Real().Now();
  message.set_timeout_us(std::max(int64_t{0}, absl::ToInt64Microseconds(left)));
}

GroupCall DecodeGroup(const v1::GroupCall& message) {
  return {.group_id = message.group_id(),
          .sequence = message.sequence(),
          .route_ranks = ToVector(message.route_ranks()),
          .deadline =
              Clock::Real().Now() + absl::Microseconds(message.timeout_us())};
}

absl::Status CheckRoutes(const v1::ExpertForwardRequest& message) {
  const int num_routes = message.route_tokens_size();
  if (message.route_experts_size() == num_routes &&
      message.route_weights_size() == num_routes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "route_tokens, route_experts, route_weights: got ", num_routes, ", ",
      message.route_experts_size(), ", ", message.route_weights_size(),
      " entries, expected as many of each"));
}

}  // namespace

absl::StatusOr<LoadExpertsRequest> Decode(
    const v1::LoadExpertsRequest& message) {
  LoadExpertsRequest request;
  SWITCHYARD_ASSIGN_OR_RETURN(request.spec, Decode(message.spec()));
  request.expert_ids = ToVector(message.expert_ids());
  request.generation = message.generation();
  return request;
}

v1::LoadExpertsRequest Encode(const LoadExpertsRequest& request) {
  v1::LoadExpertsRequest message;
  *message.mutable_spec() = Encode(request.spec);
  Assign(request.expert_ids, message.mutable_expert_ids());
  message.set_generation(request.generation);
  return message;
}

absl::StatusOr<ReadExpertsRequest> Decode(
    const v1::ReadExpertsRequest& message) {
  ReadExpertsRequest request;
  request.layer = message.layer();
  for (int i = 0; i < message.ranges_size(); ++i) {
    SWITCHYARD_ASSIGN_OR_RETURN(ParameterRange range,
                                DecodeRange(message.ranges(i), i));
    request.ranges.push_back(std::move(range));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(request.kind, DecodeKind(message.kind()));
  return request;
}

v1::ReadExpertsRequest Encode(const ReadExpertsRequest& request) {
  v1::ReadExpertsRequest message;
  message.set_layer(request.layer);
  for (const ParameterRange& range : request.ranges) {
    v1::ParameterRange& added = *message.add_ranges();
    added.set_name(range.name);
    added.set_offset(range.offset);
    added.set_num_elements(range.num_elements);
  }
  message.set_kind(EncodeKind(request.kind));
  return message;
}

absl::StatusOr<std::vector<ParameterSlice>> Decode(
    const v1::ReadExpertsResponse& message) {
  return DecodeSlices(message.slices());
}

v1::ReadExpertsResponse Encode(const std::vector<ParameterSlice>& slices) {
  v1::ReadExpertsResponse message;
  EncodeSlices(slices, message.mutable_slices());
  return message;
}

absl::StatusOr<WriteExpertsRequest> Decode(
    const v1::WriteExpertsRequest& message) {
  WriteExpertsRequest request;
  request.layer = message.layer();
  SWITCHYARD_ASSIGN_OR_RETURN(request.slices, DecodeSlices(message.slices()));
  SWITCHYARD_ASSIGN_OR_RETURN(request.kind, DecodeKind(message.kind()));
  return request;
}

v1::WriteExpertsRequest Encode(const WriteExpertsRequest& request) {
  v1::WriteExpertsRequest message;
  message.set_layer(request.layer);
  EncodeSlices(request.slices, message.mutable_slices());
  message.set_kind(EncodeKind(request.kind));
  return message;
}

absl::StatusOr<ImportExpertsRequest> Decode(
    const v1::ImportExpertsRequest& message) {
  if (message.fingerprint() == 0) {
    return absl::InvalidArgumentError(
        "fingerprint: got 0, expected that of the folder");
  }
  return ImportExpertsRequest{.layer = message.layer(),
                              .directory = message.directory(),
                              .fingerprint = message.fingerprint(),
                              .expert_ids = ToVector(message.expert_ids())};
}

v1::ImportExpertsRequest Encode(const ImportExpertsRequest& request) {
  v1::ImportExpertsRequest message;
  message.set_layer(request.layer);
  message.set_directory(request.directory);
  message.set_fingerprint(request.fingerprint);
  Assign(request.expert_ids, message.mutable_expert_ids());
  return message;
}

MicrobatchKey Decode(const v1::MicrobatchKey& message) {
  return {.step = message.step(),
          .microbatch = message.microbatch(),
          .attempt = message.attempt()};
}

v1::DropMicrobatchRequest EncodeDropMicrobatch(const std::string& layer,
                                               const MicrobatchKey& key) {
  v1::DropMicrobatchRequest message;
  message.set_layer(layer);
  EncodeKey(key, *message.mutable_key());
  return message;
}

absl::StatusOr<ExpertForwardRequest> Decode(
    const v1::ExpertForwardRequest& message, std::optional<Tensor> x) {
  SWITCHYARD_RETURN_IF_ERROR(CheckRoutes(message));
  ExpertForwardRequest request;
  request.layer = message.layer();
  request.generation = message.generation();
  if (message.has_keep()) request.keep = Decode(message.keep());
  request.exact_combine = message.exact_combine();
  if (message.has_group()) request.group = DecodeGroup(message.group());
  request.route_tokens = ToVector(message.route_tokens());
  request.route_experts = ToVector(message.route_experts());
  request.route_weights = ToVector(message.route_weights());
  SWITCHYARD_ASSIGN_OR_RETURN(request.x,
                              TakenOrDecoded(std::move(x), message.x(), "x"));
  return request;
}

v1::ExpertForwardRequest EncodeRest(const ExpertForwardRequest& request) {
  v1::ExpertForwardRequest message;
  message.set_layer(request.layer);
  message.set_generation(request.generation);
  if (request.keep.has_value()) {
    EncodeKey(*request.keep, *message.mutable_keep());
  }
  message.set_exact_combine(request.exact_combine);
  Assign(request.route_tokens, message.mutable_route_tokens());
  Assign(request.route_experts, message.mutable_route_experts());
  Assign(request.route_weights, message.mutable_route_weights());
  if (request.group.has_value()) {
    EncodeGroup(*request.group, *message.mutable_group());
  }
  return message;
}

v1::ExpertForwardRequest Encode(const ExpertForwardRequest& request,
                                v1::DType dtype) {
  v1::ExpertForwardRequest message = EncodeRest(request);
  *message.mutable_x() = EncodeTensor(request.x, dtype);
  return message;
}

absl::StatusOr<ExpertForwardResult> Decode(
    const v1::ExpertForwardResponse& message, std::optional<Tensor> y) {
  ExpertForwardResult result;
  SWITCHYARD_ASSIGN_OR_RETURN(result.y,
                              TakenOrDecoded(std::move(y), message.y(), "y"));
  result.compute_us = message.compute_us();
  return result;
}

v1::ExpertForwardResponse EncodeRest(const ExpertForwardResult& result) {
  v1::ExpertForwardResponse message;
  message.set_compute_us(result.compute_us);
  return message;
}

v1::ExpertForwardResponse Encode(const ExpertForwardResult& result,
                                 v1::DType dtype) {
  v1::ExpertForwardResponse message = EncodeRest(result);
  *message.mutable_y() = EncodeTensor(result.y, dtype);
  return message;
}

absl::StatusOr<ExpertBackwardRequest> Decode(
    const v1::ExpertBackwardRequest& message, std::optional<Tensor> grad_y) {
  ExpertBackwardRequest request;
  request.layer = message.layer();
  request.generation = message.generation();
  request.key = Decode(message.key());
  if (message.has_group()) request.group = DecodeGroup(message.group());
  request.exact_combine = message.exact_combine();
  request.route_tokens = ToVector(message.route_tokens());
  SWITCHYARD_ASSIGN_OR_RETURN(
      request.grad_y,
      TakenOrDecoded(std::move(grad_y), message.grad_y(), "grad_y"));
  return request;
}

v1::ExpertBackwardRequest EncodeRest(const ExpertBackwardRequest& request) {
  v1::ExpertBackwardRequest message;
  message.set_layer(request.layer);
  message.set_generation(request.generation);
  EncodeKey(request.key, *message.mutable_key());
  if (request.group.has_value()) {
    EncodeGroup(*request.group, *message.mutable_group());
    message.set_exact_combine(request.exact_combine);
    Assign(request.route_tokens, message.mutable_route_tokens());
  }
  return message;
}

v1::ExpertBackwardRequest Encode(const ExpertBackwardRequest& request,
                                 v1::DType dtype) {
  v1::ExpertBackwardRequest message = EncodeRest(request);
  *message.mutable_grad_y() = EncodeTensor(request.grad_y, dtype);
  return message;
}

absl::StatusOr<ExpertBackwardResult> Decode(
    const v1::ExpertBackwardResponse& message, std::optional<Tensor> grad_x) {
  ExpertBackwardResult result;
  SWITCHYARD_ASSIGN_OR_RETURN(
      result.grad_x,
      TakenOrDecoded(std::move(grad_x), message.grad_x(), "grad_x"));
  result.route_dots = ToVector(message.route_dots());
  result.compute_us = message.compute_us();
  return result;
}

v1::ExpertBackwardResponse EncodeRest(const ExpertBackwardResult& result) {
  v1::ExpertBackwardResponse message;
  Assign(result.route_dots, message.mutable_route_dots());
  message.set_compute_us(result.compute_us);
  return message;
}

v1::ExpertBackwardResponse Encode(const ExpertBackwardResult& result,
                                  v1::DType dtype) {
  v1::ExpertBackwardResponse message = EncodeRest(result);
  *message.mutable_grad_x() = EncodeTensor(result.grad_x, dtype);
  return message;
}

PrepareStepResult Decode(const v1::PrepareStepResponse& message) {
  PrepareStepResult result;
  for (const v1::ExpertGradientSummary& expert : message.experts()) {
    result.experts.push_back({expert.expert_id(), expert.squared_norm()});
  }
  return result;
}

v1::PrepareStepResponse Encode(const PrepareStepResult& result) {
  v1::PrepareStepResponse message;
  for (const ExpertGradientSummary& expert : result.experts) {
    v1::ExpertGradientSummary& added = *message.add_experts();
    added.set_expert_id(expert.expert_id);
    added.set_squared_norm(expert.squared_norm);
  }
  return message;
}

v1::GetStatusResponse Encode(const WorkerReport& report) {
  v1::GetStatusResponse message;
  message.set_worker_id(report.worker_id);
  for (const HostedLayer& layer : report.layers) {
    v1::HostedLayer& added = *message.add_layers();
    added.set_layer(layer.layer);
    Assign(layer.expert_ids, added.mutable_expert_ids());
    added.set_step(layer.step);
    added.set_parameter_bytes(layer.parameter_bytes);
  }
  message.set_kept_activation_bytes(report.kept_activation_bytes);
  message.set_max_kept_activation_bytes(report.max_kept_activation_bytes);
  return message;
}

JoinGroupRequest Decode(const v1::JoinGroupRequest& message) {
  return {.group_id = message.group_id(),
          .rank = message.rank(),
          .size = message.size()};
}

v1::JoinGroupRequest Encode(const JoinGroupRequest& request) {
  v1::JoinGroupRequest message;
  message.set_group_id(request.group_id);
  message.set_rank(request.rank);
  message.set_size(request.size);
  return message;
}

JoinGroupResult Decode(const v1::JoinGroupResponse& message) {
  return {.address = message.address(), .max_calls = message.max_calls()};
}

v1::JoinGroupResponse Encode(const JoinGroupResult& result) {
  v1::JoinGroupResponse message;
  message.set_address(result.address);
  message.set_max_calls(result.max_calls);
  return message;
}

ConnectGroupRequest Decode(const v1::ConnectGroupRequest& message) {
  return {
      .group_id = message.group_id(),
      .addresses = {message.addresses().begin(), message.addresses().end()}};
}

v1::ConnectGroupRequest Encode(const ConnectGroupRequest& request) {
  v1::ConnectGroupRequest message;
  message.set_group_id(request.group_id);
  message.mutable_addresses()->Assign(request.addresses.begin(),
                                      request.addresses.end());
  return message;
}

}  // namespace switchyard::wire
