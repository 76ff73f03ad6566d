#include "examples/image_classifier/remote_layer.h"

#include <numeric>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"

namespace switchyard::image_classifier {

absl::StatusOr<std::unique_ptr<RemoteLayer>> RemoteLayer::Create(
    GatewayClient& client, LayerSpec spec, const std::string& spare_suffix) {
  absl::StatusOr<LayerStatus> status = client.CreateLayer(spec);
  if (absl::IsAlreadyExists(status.status())) {
    absl::StrAppend(&spec.name, spare_suffix);
    status = client.CreateLayer(spec);
  }
  auto layer = absl::WrapUnique(new RemoteLayer(client, spec.name));
  if (status.ok()) return layer;
  layer->exists_ = false;
  return layer->Annotate(status.status(), "CreateLayer");
}

RemoteLayer::~RemoteLayer() {
  if (exists_) client_.DeleteLayer(name_).IgnoreError();
}

absl::StatusOr<ForwardResult> RemoteLayer::Forward(Mode mode, Tensor x) {
  ForwardRequest request;
  request.layer = name_;
  request.mode = mode;
  request.x = std::move(x);
  const Stopwatch stopwatch;
  absl::StatusOr<ForwardResult> result = client_.Forward(request);
  if (!result.ok()) return Annotate(result.status(), "Forward");
  if (mode == Mode::kTrain) {
    record_.call_times.forward.Add(stopwatch.ElapsedUs(), result->timing);
    Remember(*result);
  }
  return result;
}

absl::StatusOr<BackwardResult> RemoteLayer::Backward(
    const ForwardResult& forward, Tensor grad_y, float grad_aux_loss) {
  BackwardRequest request;
  request.layer = name_;
  request.step = forward.step;
  request.microbatch = forward.microbatch;
  request.grad_aux_loss = grad_aux_loss;
  request.grad_y = std::move(grad_y);
  const Stopwatch stopwatch;
  absl::StatusOr<BackwardResult> result = client_.Backward(request);
  if (!result.ok()) return Annotate(result.status(), "Backward");
  record_.call_times.backward.Add(stopwatch.ElapsedUs(), result->timing);
  return result;
}

absl::Status RemoteLayer::Step(float learning_rate) {
  StepRequest request;
  request.layer = name_;
  request.step = step_;
  request.learning_rate = learning_rate;
  const Stopwatch stopwatch;
  const absl::StatusOr<StepResult> result = client_.Step(request);
  if (!result.ok()) return Annotate(result.status(), "Step");
  record_.call_times.step.Add(stopwatch.ElapsedUs(), result->timing);
  return absl::OkStatus();
}

absl::StatusOr<LayerRecord> RemoteLayer::Describe() const {
  absl::StatusOr<LayerStatus> status = client_.GetLayer(name_);
  if (!status.ok()) return Annotate(status.status(), "GetLayer");
  absl::StatusOr<std::vector<LayerLoad>> loads = client_.GetLoad(name_);
  if (!loads.ok()) return Annotate(loads.status(), "GetLoad");
  if (loads->size() != 1) {
    return Annotate(absl::InternalError(absl::StrCat("got ", loads->size(),
                                                     " layers, expected 1")),
                    "GetLoad");
  }
  return LayerRecord{*std::move(status), std::move(loads->front())};
}

absl::Status RemoteLayer::Delete() {
  exists_ = false;
  const absl::Status status = client_.DeleteLayer(name_);
  return status.ok() ? status : Annotate(status, "DeleteLayer");
}

absl::Status RemoteLayer::Annotate(const absl::Status& status,
                                   absl::string_view call) const {
  return absl::Status(status.code(), absl::StrCat(call, " of layer ", name_,
                                                  ": ", status.message()));
}

void RemoteLayer::Remember(const ForwardResult& result) {
  step_ = result.step;
  record_.expert_tokens.resize(result.expert_counts.size());
  for (size_t i = 0; i < result.expert_counts.size(); ++i) {
    record_.expert_tokens[i] += result.expert_counts[i];
  }
  const auto sum = [](const std::vector<int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), int64_t{0});
  };
  const int64_t num_routes = sum(result.expert_counts);
  record_.num_routes += num_routes;
  record_.num_dropped_routes += num_routes - sum(result.kept_counts);
  record_.aux_loss = result.aux_loss;
}

}  // namespace switchyard::image_classifier
