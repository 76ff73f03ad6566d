#include "gateway/layer/request_checks.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/model/parameters.h"
#include "common/optimizer/optimizer.h"

namespace switchyard {
namespace {

// Row numbers travel as int32.
constexpr int64_t kMaxTokens = (int64_t{1} << 31) - 1;

absl::Status CheckX(const LayerSpec& spec, const Tensor& x) {
  if (x.shape().empty() || x.shape().back() != spec.hidden_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "x.shape: got ", ShapeToString(x.shape()), ", expected [..., ",
        spec.hidden_size, "], the hidden_size of layer '", spec.name, "'"));
  }
  // One more for the dense branch.
  const int64_t max_tokens = kMaxTokens / (spec.gate.k + 1);
  if (x.rows() > max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "x.shape: got ", x.rows(), " tokens, expected at most ", max_tokens));
  }
  return absl::OkStatus();
}

absl::Status CheckFinite(const Tensor& tensor, absl::string_view field,
                         absl::string_view expected) {
  const int64_t idx = FirstNonFinite(tensor.values());
  if (idx < 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": got ", tensor.data()[idx], " in element ", idx,
                   " (token ", idx / tensor.cols(), "), expected ", expected));
}

absl::Status CheckUsedTokens(const LayerSpec& spec,
                             const std::vector<bool>& used_tokens,
                             int64_t num_tokens) {
  if (used_tokens.empty()) return absl::OkStatus();
  if (spec.gate.k != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "used_tokens: got ", used_tokens.size(),
        " entries, expected none for a layer with k = ", spec.gate.k,
        " (only k = 1 takes a mask)"));
  }
  if (static_cast<int64_t>(used_tokens.size()) != num_tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("used_tokens: got ", used_tokens.size(),
                     " entries, expected ", num_tokens, ", one per token"));
  }
  return absl::OkStatus();
}

absl::Status CheckHead(const LayerSpec& spec, const TrainStepRequest& request) {
  if (const auto* mse = std::get_if<MeanSquaredErrorHead>(&request.head)) {
    if (mse->target.shape() == request.x.shape()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("mean_squared_error.target.shape: got ",
                     ShapeToString(mse->target.shape()), ", expected ",
                     ShapeToString(request.x.shape()), ", the shape of x"));
  }
  const std::vector<int32_t>& labels =
      std::get<CrossEntropyHead>(request.head).labels;
  if (static_cast<int64_t>(labels.size()) != request.x.rows()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cross_entropy.labels: got ", labels.size(), " entries, expected ",
        request.x.rows(), ", one per token"));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= spec.hidden_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("cross_entropy.labels[", i, "]: got ", labels[i],
                       ", expected 0 to ", spec.hidden_size - 1));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSlice(const LayerSpec& spec, const ParameterSlice& slice,
                        size_t idx) {
  SWITCHYARD_ASSIGN_OR_RETURN(const ParameterSpec parameter,
                              FindParameter(spec, slice.name));
  const std::string field =
      absl::StrCat("slices[", idx, "] (", slice.name, ")");
  if (slice.shape != parameter.shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".shape: got ", ShapeToString(slice.shape),
                     ", expected ", ShapeToString(parameter.shape)));
  }
  const int64_t num_elements = parameter.num_elements();
  const int64_t num_values = static_cast<int64_t>(slice.values.size());
  if (slice.offset < 0 || slice.offset > num_elements ||
      num_values > num_elements - slice.offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": got ", num_values, " values at offset ", slice.offset,
        ", expected a range inside [0, ", num_elements, ")"));
  }
  const int64_t bad = FirstNonFinite(slice.values);
  if (bad >= 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".values[", bad, "]: got ",
        slice.values[static_cast<size_t>(bad)], ", expected a finite number"));
  }
  return absl::OkStatus();
}

// The routes of a client that routed itself.
absl::Status CheckTopK(const LayerSpec& spec, const ForwardRequest& request) {
  const size_t num_ids = request.topk_ids.size();
  if (request.topk_weights.size() != num_ids) {
    return absl::InvalidArgumentError(
        absl::StrCat("topk_weights: got ", request.topk_weights.size(),
                     " entries, expected ", num_ids, ", one per topk_ids"));
  }
  if (num_ids == 0) return absl::OkStatus();
  const size_t num_tokens = static_cast<size_t>(request.x.rows());
  if (num_tokens == 0 || num_ids % num_tokens != 0 ||
      num_ids / num_tokens > static_cast<size_t>(spec.num_experts)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "topk_ids: got ", num_ids, " entries for ", num_tokens,
        " tokens, expected k per token, k from 1 to ", spec.num_experts));
  }
  if (!request.used_tokens.empty()) {
    return absl::InvalidArgumentError(
        "used_tokens: got a mask beside topk_ids, expected none (-1 in "
        "topk_ids is no route)");
  }
  for (size_t i = 0; i < num_ids; ++i) {
    if (request.topk_ids[i] < -1 || request.topk_ids[i] >= spec.num_experts) {
      return absl::InvalidArgumentError(absl::StrCat(
          "topk_ids[", i, "]: got ", request.topk_ids[i],
          ", expected an expert from 0 to ", spec.num_experts - 1, ", or -1"));
    }
    if (!std::isfinite(request.topk_weights[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("topk_weights[", i, "]: got ", request.topk_weights[i],
                       ", expected a finite number"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTrainable(const LayerSpec& spec) {
  if (!spec.inference_only) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "layer '", spec.name, "' is inference_only, expected one that trains"));
}

absl::Status CheckForward(const LayerSpec& spec,
                          const ForwardRequest& request) {
  SWITCHYARD_RETURN_IF_ERROR(CheckX(spec, request.x));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckUsedTokens(spec, request.used_tokens, request.x.rows()));
  SWITCHYARD_RETURN_IF_ERROR(CheckTopK(spec, request));
  if (request.mode == Mode::kTrain) {
    SWITCHYARD_RETURN_IF_ERROR(CheckTrainable(spec));
  }
  if (request.mode == Mode::kEval) {
    if (!request.microbatch.has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("microbatch: got ", *request.microbatch,
                     " in eval mode, expected none"));
  }
  if (request.allow_non_finite) return absl::OkStatus();
  return CheckFinite(request.x, "x",
                     "finite numbers in train mode (or allow_non_finite)");
}

absl::Status CheckBackward(const BackwardRequest& request,
                           const OpenMicrobatch& microbatch) {
  if (request.grad_y.shape() != microbatch.x.shape()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "grad_y.shape: got ", ShapeToString(request.grad_y.shape()),
        ", expected ", ShapeToString(microbatch.x.shape()),
        ", the shape of x in microbatch ", request.microbatch));
  }
  if (!std::isfinite(request.grad_aux_loss)) {
    return absl::InvalidArgumentError(
        absl::StrCat("grad_aux_loss: got ", request.grad_aux_loss,
                     ", expected a finite number"));
  }
  return absl::OkStatus();
}

absl::Status CheckTrainStep(const LayerSpec& spec,
                            const TrainStepRequest& request) {
  SWITCHYARD_RETURN_IF_ERROR(CheckTrainable(spec));
  SWITCHYARD_RETURN_IF_ERROR(CheckLearningRate(request.learning_rate));
  SWITCHYARD_RETURN_IF_ERROR(CheckX(spec, request.x));
  if (request.x.rows() == 0) {
    return absl::InvalidArgumentError(
        "x.shape: got 0 tokens, expected at least 1: a mean over none has no "
        "value");
  }
  SWITCHYARD_RETURN_IF_ERROR(
      CheckUsedTokens(spec, request.used_tokens, request.x.rows()));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckFinite(request.x, "x", "finite numbers in train mode"));
  return CheckHead(spec, request);
}

absl::Status CheckWriteParameters(const LayerSpec& spec,
                                  const WriteParametersRequest& request) {
  for (size_t i = 0; i < request.slices.size(); ++i) {
    SWITCHYARD_RETURN_IF_ERROR(CheckSlice(spec, request.slices[i], i));
  }
  return absl::OkStatus();
}

absl::Status CheckImportParameters(const LayerSpec& spec,
                                   const ImportParametersRequest& request) {
  if (!spec.origin.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("layer '", spec.name,
                     "' has no origin, expected one that was created for a "
                     "Hugging Face module"));
  }
  if (request.expert_ids.empty()) return absl::OkStatus();
  if (request.directory.empty() || request.directory.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("directory: got '", request.directory.substr(0, 256),
                     "', expected an absolute path"));
  }
  for (size_t i = 0; i < request.expert_ids.size(); ++i) {
    const int32_t expert = request.expert_ids[i];
    if (expert >= 0 && expert < spec.num_hosted_experts()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("expert_ids[", i, "]: got ", expert, ", expected 0 to ",
                     spec.num_hosted_experts() - 1));
  }
  return absl::OkStatus();
}

}  // namespace switchyard
