#include <prometheus/registry.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "embedded/embedded_cluster.h"
#include "tests/testing/layer_api.h"

namespace switchyard::testing {
namespace {

absl::Time Deadline() { return absl::Now() + absl::Seconds(60); }

class EmbeddedLayerApi final : public LayerApi {
 public:
  EmbeddedLayerApi(int num_workers, bool form_group)
      : cluster_({.num_workers = num_workers, .form_group = form_group}) {}

  absl::StatusOr<LayerStatus> CreateLayer(const LayerSpec& spec) override {
    return gateway().CreateLayer(spec, Deadline());
  }
  absl::StatusOr<LayerStatus> GetLayer(const std::string& name) override {
    return gateway().GetLayer(name);
  }
  absl::Status DeleteLayer(const std::string& name) override {
    return gateway().DeleteLayer(name, Deadline());
  }
  absl::StatusOr<ForwardResult> Forward(
      const ForwardRequest& request) override {
    return gateway().Forward(request, Deadline());
  }
  absl::StatusOr<BackwardResult> Backward(
      const BackwardRequest& request) override {
    return gateway().Backward(request, Deadline());
  }
  absl::StatusOr<StepResult> Step(const StepRequest& request) override {
    return gateway().Step(request, Deadline());
  }
  absl::StatusOr<TrainStepResult> TrainStep(
      const TrainStepRequest& request) override {
    return gateway().TrainStep(request, Deadline());
  }
  absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request) override {
    return gateway().ReadParameters(request, Deadline());
  }
  absl::Status WriteParameters(const WriteParametersRequest& request) override {
    return gateway().WriteParameters(request, Deadline());
  }
  absl::StatusOr<std::vector<LayerLoad>> GetLoad(
      const std::string& layer) override {
    return gateway().GetLoad(layer);
  }

 private:
  Gateway& gateway() { return cluster_.gateway(); }
  EmbeddedCluster cluster_;
};

class DirectLayerApi final : public DrawnLayerApi {
 public:
  explicit DirectLayerApi(int num_workers) : metrics_(registry_) {
    for (int i = 0; i < num_workers; ++i) {
      WorkerOptions options;
      options.worker_id = absl::StrCat("w", i);
      registries_.push_back(std::make_unique<prometheus::Registry>());
      workers_.push_back(std::make_unique<Worker>(options, Clock::Real(),
                                                  *registries_.back()));
      groups_[options.worker_id] =
          std::make_shared<InProcessExpertGroup>(*workers_.back());
    }
  }

  void SetDraws(GateDraws draws) override { draws_ = std::move(draws); }

  absl::StatusOr<LayerStatus> CreateLayer(const LayerSpec& spec) override {
    MoeLayerEnvironment environment = {
        .limits = {},
        .clock = Clock::Real(),
        .metrics = metrics_,
        .groups = no_groups_,
        .report_lost = [](const std::string&, const ExpertGroup*,
                          const absl::Status&) {}};
    auto layer = MoeLayer::Create(spec, groups_, /*generation=*/1,
                                  std::move(environment), Deadline());
    if (!layer.ok()) return layer.status();
    layer_ = *std::move(layer);
    return layer_->Status();
  }
  absl::StatusOr<LayerStatus> GetLayer(const std::string&) override {
    return layer_->Status();
  }
  absl::Status DeleteLayer(const std::string&) override {
    layer_->Unload(Deadline());
    layer_.reset();
    return absl::OkStatus();
  }
  absl::StatusOr<ForwardResult> Forward(
      const ForwardRequest& request) override {
    return layer_->Forward(request, Deadline(), &draws_);
  }
  absl::StatusOr<BackwardResult> Backward(
      const BackwardRequest& request) override {
    return layer_->Backward(request, Deadline());
  }
  absl::StatusOr<StepResult> Step(const StepRequest& request) override {
    return layer_->Step(request, Deadline());
  }
  absl::StatusOr<TrainStepResult> TrainStep(
      const TrainStepRequest& request) override {
    return layer_->TrainStep(request, Deadline());
  }
  absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request) override {
    return layer_->ReadParameters(request, Deadline());
  }
  absl::Status WriteParameters(const WriteParametersRequest& request) override {
    return layer_->WriteParameters(request, Deadline());
  }
  absl::StatusOr<std::vector<LayerLoad>> GetLoad(const std::string&) override {
    std::vector<LayerLoad> loads;
    loads.push_back(layer_->Load());
    return loads;
  }

 private:
  prometheus::Registry registry_;
  GatewayMetrics metrics_;
  const GroupDirectory no_groups_{Clock::Real(), metrics_};
  std::vector<std::unique_ptr<prometheus::Registry>> registries_;
  std::vector<std::unique_ptr<Worker>> workers_;
  absl::btree_map<std::string, std::shared_ptr<ExpertGroup>> groups_;
  GateDraws draws_;
  std::shared_ptr<MoeLayer> layer_;
};

}  // namespace

std::unique_ptr<LayerApi> MakeEmbeddedLayerApi(int num_workers,
                                               bool form_group) {
  return std::make_unique<EmbeddedLayerApi>(num_workers, form_group);
}

std::unique_ptr<DrawnLayerApi> MakeDrawnLayerApi(int num_workers) {
  return std::make_unique<DirectLayerApi>(num_workers);
}

}  // namespace switchyard::testing
