#include "services/wire/layer_call_codec.h"

#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "services/wire/repeated.h"
#include "services/wire/tensor_codec.h"

namespace switchyard::wire {
namespace {

absl::StatusOr<Mode> DecodeMode(v1::Mode mode) {
  switch (mode) {
    case v1::MODE_TRAIN:
      return Mode::kTrain;
    case v1::MODE_EVAL:
      return Mode::kEval;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("mode: got ", static_cast<int>(mode),
                       ", expected MODE_TRAIN (1) or MODE_EVAL (2)"));
  }
}

Timing DecodeTiming(const v1::Timing& message) {
  Timing timing;
  timing.gateway_us = message.gateway_us();
  timing.gate_us = message.gate_us();
  timing.workers_wait_us = message.workers_wait_us();
  timing.worker_compute_us = message.worker_compute_us();
  return timing;
}

void EncodeTiming(const Timing& timing, v1::Timing& message) {
  message.set_gateway_us(timing.gateway_us);
  message.set_gate_us(timing.gate_us);
  message.set_workers_wait_us(timing.workers_wait_us);
  message.set_worker_compute_us(timing.worker_compute_us);
}

absl::StatusOr<Routes> DecodeRoutes(const v1::Routes& message) {
  const int num_routes = message.expert_ids_size();
  if (message.k() < 1 || num_routes % message.k() != 0 ||
      message.slots_size() != num_routes ||
      message.weights_size() != num_routes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "routes: got k ", message.k(), " and ", num_routes, ", ",
        message.slots_size(), ", ", message.weights_size(),
        " expert_ids, slots, weights, expected k >= 1 and tokens * k of each"));
  }
  Routes routes;
  routes.k = message.k();
  routes.expert_ids = ToVector(message.expert_ids());
  routes.slots = ToVector(message.slots());
  routes.weights = ToVector(message.weights());
  return routes;
}

void EncodeRoutes(const Routes& routes, v1::Routes& message) {
  message.set_k(routes.k);
  Assign(routes.expert_ids, message.mutable_expert_ids());
  Assign(routes.slots, message.mutable_slots());
  Assign(routes.weights, message.mutable_weights());
}

absl::StatusOr<LossHead> DecodeHead(const v1::TrainStepRequest& message) {
  switch (message.head_case()) {
    case v1::TrainStepRequest::kCrossEntropy:
      return CrossEntropyHead{ToVector(message.cross_entropy().labels())};
    case v1::TrainStepRequest::kMeanSquaredError: {
      MeanSquaredErrorHead head;
      SWITCHYARD_ASSIGN_OR_RETURN(
          head.target, DecodeTensor(message.mean_squared_error().target(),
                                    "mean_squared_error.target"));
      return head;
    }
    case v1::TrainStepRequest::HEAD_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "head: got none, expected cross_entropy or mean_squared_error");
}

void EncodeHead(const LossHead& head, v1::TrainStepRequest& message) {
  if (const auto* cross_entropy = std::get_if<CrossEntropyHead>(&head)) {
    Assign(cross_entropy->labels,
           message.mutable_cross_entropy()->mutable_labels());
  } else {
    *message.mutable_mean_squared_error()->mutable_target() = EncodeTensor(
        std::get<MeanSquaredErrorHead>(head).target, v1::DTYPE_FLOAT32);
  }
}

}  // namespace

absl::StatusOr<ForwardRequest> Decode(const v1::ForwardRequest& message,
                                      std::optional<Tensor> x) {
  ForwardRequest request;
  request.layer = message.layer();
  SWITCHYARD_ASSIGN_OR_RETURN(request.mode, DecodeMode(message.mode()));
  if (message.has_microbatch()) request.microbatch = message.microbatch();
  request.return_routes = message.return_routes();
  request.allow_non_finite = message.allow_non_finite();
  request.used_tokens = ToVector(message.used_tokens());
  request.topk_ids = ToVector(message.topk_ids());
  request.topk_weights = ToVector(message.topk_weights());
  SWITCHYARD_ASSIGN_OR_RETURN(request.x,
                              TakenOrDecoded(std::move(x), message.x(), "x"));
  return request;
}

v1::ForwardRequest EncodeRest(const ForwardRequest& request) {
  v1::ForwardRequest message;
  message.set_layer(request.layer);
  message.set_mode(request.mode == Mode::kTrain ? v1::MODE_TRAIN
                                                : v1::MODE_EVAL);
  if (request.microbatch.has_value()) {
    message.set_microbatch(*request.microbatch);
  }
  message.set_return_routes(request.return_routes);
  message.set_allow_non_finite(request.allow_non_finite);
  Assign(request.used_tokens, message.mutable_used_tokens());
  Assign(request.topk_ids, message.mutable_topk_ids());
  Assign(request.topk_weights, message.mutable_topk_weights());
  return message;
}

v1::ForwardRequest Encode(const ForwardRequest& request, v1::DType dtype) {
  v1::ForwardRequest message = EncodeRest(request);
  *message.mutable_x() = EncodeTensor(request.x, dtype);
  return message;
}

absl::StatusOr<ForwardResult> Decode(const v1::ForwardResponse& message,
                                     std::optional<Tensor> y) {
  ForwardResult result;
  SWITCHYARD_ASSIGN_OR_RETURN(result.y,
                              TakenOrDecoded(std::move(y), message.y(), "y"));
  result.aux_loss = message.aux_loss();
  result.aux_loss_terms = ToVector(message.aux_loss_terms());
  result.expert_counts = ToVector(message.expert_counts());
  result.kept_counts = ToVector(message.kept_counts());
  result.capacity = message.capacity();
  result.step = message.step();
  result.microbatch = message.microbatch();
  if (message.has_routes()) {
    SWITCHYARD_ASSIGN_OR_RETURN(result.routes, DecodeRoutes(message.routes()));
  }
  result.timing = DecodeTiming(message.timing());
  return result;
}

v1::ForwardResponse EncodeRest(const ForwardResult& result) {
  v1::ForwardResponse message;
  message.set_aux_loss(result.aux_loss);
  Assign(result.aux_loss_terms, message.mutable_aux_loss_terms());
  Assign(result.expert_counts, message.mutable_expert_counts());
  Assign(result.kept_counts, message.mutable_kept_counts());
  message.set_capacity(result.capacity);
  message.set_step(result.step);
  message.set_microbatch(result.microbatch);
  if (result.routes.has_value()) {
    EncodeRoutes(*result.routes, *message.mutable_routes());
  }
  EncodeTiming(result.timing, *message.mutable_timing());
  return message;
}

v1::ForwardResponse Encode(const ForwardResult& result, v1::DType dtype) {
  v1::ForwardResponse message = EncodeRest(result);
  *message.mutable_y() = EncodeTensor(result.y, dtype);
  return message;
}

absl::StatusOr<BackwardRequest> Decode(const v1::BackwardRequest& message,
                                       std::optional<Tensor> grad_y) {
  BackwardRequest request;
  request.layer = message.layer();
  request.step = message.step();
  request.microbatch = message.microbatch();
  request.grad_aux_loss = message.grad_aux_loss();
  SWITCHYARD_ASSIGN_OR_RETURN(
      request.grad_y,
      TakenOrDecoded(std::move(grad_y), message.grad_y(), "grad_y"));
  return request;
}

v1::BackwardRequest EncodeRest(const BackwardRequest& request) {
  v1::BackwardRequest message;
  message.set_layer(request.layer);
  message.set_step(request.step);
  message.set_microbatch(request.microbatch);
  message.set_grad_aux_loss(request.grad_aux_loss);
  return message;
}

v1::BackwardRequest Encode(const BackwardRequest& request, v1::DType dtype) {
  v1::BackwardRequest message = EncodeRest(request);
  *message.mutable_grad_y() = EncodeTensor(request.grad_y, dtype);
  return message;
}

absl::StatusOr<BackwardResult> Decode(const v1::BackwardResponse& message,
                                      std::optional<Tensor> grad_x) {
  BackwardResult result;
  SWITCHYARD_ASSIGN_OR_RETURN(
      result.grad_x,
      TakenOrDecoded(std::move(grad_x), message.grad_x(), "grad_x"));
  result.grad_topk_weights = ToVector(message.grad_topk_weights());
  result.timing = DecodeTiming(message.timing());
  return result;
}

v1::BackwardResponse EncodeRest(const BackwardResult& result) {
  v1::BackwardResponse message;
  Assign(result.grad_topk_weights, message.mutable_grad_topk_weights());
  EncodeTiming(result.timing, *message.mutable_timing());
  return message;
}

v1::BackwardResponse Encode(const BackwardResult& result, v1::DType dtype) {
  v1::BackwardResponse message = EncodeRest(result);
  *message.mutable_grad_x() = EncodeTensor(result.grad_x, dtype);
  return message;
}

StepRequest Decode(const v1::StepRequest& message) {
  StepRequest request;
  request.layer = message.layer();
  request.step = message.step();
  request.learning_rate = message.learning_rate();
  request.discard = message.discard();
  return request;
}

v1::StepRequest Encode(const StepRequest& request) {
  v1::StepRequest message;
  message.set_layer(request.layer);
  message.set_step(request.step);
  message.set_learning_rate(request.learning_rate);
  message.set_discard(request.discard);
  return message;
}

StepResult Decode(const v1::StepResponse& message) {
  StepResult result;
  result.step = message.step();
  result.grad_norm = message.grad_norm();
  result.timing = DecodeTiming(message.timing());
  return result;
}

v1::StepResponse Encode(const StepResult& result) {
  v1::StepResponse message;
  message.set_step(result.step);
  message.set_grad_norm(result.grad_norm);
  EncodeTiming(result.timing, *message.mutable_timing());
  return message;
}

absl::StatusOr<TrainStepRequest> Decode(const v1::TrainStepRequest& message,
                                        std::optional<Tensor> x) {
  TrainStepRequest request;
  request.layer = message.layer();
  request.learning_rate = message.learning_rate();
  request.return_grad_x = message.return_grad_x();
  request.used_tokens = ToVector(message.used_tokens());
  SWITCHYARD_ASSIGN_OR_RETURN(request.head, DecodeHead(message));
  SWITCHYARD_ASSIGN_OR_RETURN(request.x,
                              TakenOrDecoded(std::move(x), message.x(), "x"));
  return request;
}

v1::TrainStepRequest EncodeRest(const TrainStepRequest& request) {
  v1::TrainStepRequest message;
  message.set_layer(request.layer);
  message.set_learning_rate(request.learning_rate);
  message.set_return_grad_x(request.return_grad_x);
  Assign(request.used_tokens, message.mutable_used_tokens());
  EncodeHead(request.head, message);
  return message;
}

v1::TrainStepRequest Encode(const TrainStepRequest& request, v1::DType dtype) {
  v1::TrainStepRequest message = EncodeRest(request);
  *message.mutable_x() = EncodeTensor(request.x, dtype);
  return message;
}

absl::StatusOr<TrainStepResult> Decode(const v1::TrainStepResponse& message,
                                       std::optional<Tensor> grad_x) {
  TrainStepResult result;
  result.loss = message.loss();
  result.head_loss = message.head_loss();
  result.aux_loss = message.aux_loss();
  result.expert_counts = ToVector(message.expert_counts());
  result.kept_counts = ToVector(message.kept_counts());
  result.step = message.step();
  result.grad_norm = message.grad_norm();
  if (grad_x.has_value() || message.has_grad_x()) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        result.grad_x,
        TakenOrDecoded(std::move(grad_x), message.grad_x(), "grad_x"));
  }
  result.timing = DecodeTiming(message.timing());
  return result;
}

v1::TrainStepResponse EncodeRest(const TrainStepResult& result) {
  v1::TrainStepResponse message;
  message.set_loss(result.loss);
  message.set_head_loss(result.head_loss);
  message.set_aux_loss(result.aux_loss);
  Assign(result.expert_counts, message.mutable_expert_counts());
  Assign(result.kept_counts, message.mutable_kept_counts());
  message.set_step(result.step);
  message.set_grad_norm(result.grad_norm);
  EncodeTiming(result.timing, *message.mutable_timing());
  return message;
}

v1::TrainStepResponse Encode(const TrainStepResult& result, v1::DType dtype) {
  v1::TrainStepResponse message = EncodeRest(result);
  if (result.grad_x.has_value()) {
    *message.mutable_grad_x() = EncodeTensor(*result.grad_x, dtype);
  }
  return message;
}

absl::StatusOr<ReadParametersRequest> Decode(
    const v1::ReadParametersRequest& message) {
  ReadParametersRequest request;
  request.layer = message.layer();
  request.names.assign(message.names().begin(), message.names().end());
  SWITCHYARD_ASSIGN_OR_RETURN(request.kind, DecodeKind(message.kind()));
  request.cursor = message.cursor();
  request.max_page_bytes = message.max_page_bytes();
  return request;
}

v1::ReadParametersRequest Encode(const ReadParametersRequest& request) {
  v1::ReadParametersRequest message;
  message.set_layer(request.layer);
  message.mutable_names()->Assign(request.names.begin(), request.names.end());
  message.set_kind(EncodeKind(request.kind));
  message.set_cursor(request.cursor);
  message.set_max_page_bytes(request.max_page_bytes);
  return message;
}

absl::StatusOr<ReadParametersResult> Decode(
    const v1::ReadParametersResponse& message) {
  ReadParametersResult result;
  SWITCHYARD_ASSIGN_OR_RETURN(result.slices, DecodeSlices(message.slices()));
  result.next_cursor = message.next_cursor();
  result.step = message.step();
  return result;
}

v1::ReadParametersResponse Encode(const ReadParametersResult& result) {
  v1::ReadParametersResponse message;
  EncodeSlices(result.slices, message.mutable_slices());
  message.set_next_cursor(result.next_cursor);
  message.set_step(result.step);
  return message;
}

absl::StatusOr<WriteParametersRequest> Decode(
    const v1::WriteParametersRequest& message) {
  WriteParametersRequest request;
  request.layer = message.layer();
  SWITCHYARD_ASSIGN_OR_RETURN(request.slices, DecodeSlices(message.slices()));
  return request;
}

v1::WriteParametersRequest Encode(const WriteParametersRequest& request) {
  v1::WriteParametersRequest message;
  message.set_layer(request.layer);
  EncodeSlices(request.slices, message.mutable_slices());
  return message;
}

absl::StatusOr<ImportParametersRequest> Decode(
    const v1::ImportParametersRequest& message) {
  if (message.fingerprint() == 0 && message.expert_ids_size() > 0) {
    return absl::InvalidArgumentError(
        "fingerprint: got 0, expected that of the folder");
  }
  return ImportParametersRequest{.layer = message.layer(),
                                 .directory = message.directory(),
                                 .fingerprint = message.fingerprint(),
                                 .expert_ids = ToVector(message.expert_ids()),
                                 .finish = message.finish()};
}

v1::ImportParametersRequest Encode(const ImportParametersRequest& request) {
  v1::ImportParametersRequest message;
  message.set_layer(request.layer);
  message.set_directory(request.directory);
  message.set_fingerprint(request.fingerprint);
  Assign(request.expert_ids, message.mutable_expert_ids());
  message.set_finish(request.finish);
  return message;
}

ImportParametersResult Decode(const v1::ImportParametersResponse& message) {
  return {.imported_expert_ids = ToVector(message.imported_expert_ids()),
          .refusals = {message.refusals().begin(), message.refusals().end()}};
}

v1::ImportParametersResponse Encode(const ImportParametersResult& result) {
  v1::ImportParametersResponse message;
  Assign(result.imported_expert_ids, message.mutable_imported_expert_ids());
  for (const std::string& refusal : result.refusals) {
    message.add_refusals(refusal);
  }
  return message;
}

}  // namespace switchyard::wire
