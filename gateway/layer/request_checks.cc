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
  if (x.rows() > kMaxTokens / spec.gate.k) {
    return absl::InvalidArgumentError(absl::StrCat("x.shape: got ", x.rows(),
                                                   " tokens, expected at most ",
                                                   kMaxTokens / spec.gate.k));
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

}  // namespace

absl::Status CheckForward(const LayerSpec& spec,
                          const ForwardRequest& request) {
  SWITCHYARD_RETURN_IF_ERROR(CheckX(spec, request.x));
  SWITCHYARD_RETURN_IF_ERROR(
      CheckUsedTokens(spec, request.used_tokens, request.x.rows()));
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

}  // namespace switchyard
