#include "tests/testing/remote_layer_api.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace switchyard::testing {
namespace {

int NumWorkersUp(GatewayClient& client, bool in_group) {
  const absl::StatusOr<WorkerList> list = client.ListWorkers();
  if (!list.ok()) return 0;
  int num_up = 0;
  for (const WorkerStatus& worker : list->workers) {
    if (worker.state != WorkerState::kUp) continue;
    if (!in_group || worker.group_connected) ++num_up;
  }
  return num_up;
}

class RemoteLayerApi final : public LayerApi {
 public:
  explicit RemoteLayerApi(std::unique_ptr<LoopbackCluster> cluster)
      : cluster_(std::move(cluster)) {}

  absl::StatusOr<LayerStatus> CreateLayer(const LayerSpec& spec) override {
    return client().CreateLayer(spec);
  }
  absl::StatusOr<LayerStatus> GetLayer(const std::string& name) override {
    return client().GetLayer(name);
  }
  absl::Status DeleteLayer(const std::string& name) override {
    return client().DeleteLayer(name);
  }
  absl::StatusOr<ForwardResult> Forward(
      const ForwardRequest& request) override {
    return client().Forward(request);
  }
  absl::StatusOr<BackwardResult> Backward(
      const BackwardRequest& request) override {
    return client().Backward(request);
  }
  absl::StatusOr<StepResult> Step(const StepRequest& request) override {
    return client().Step(request);
  }
  absl::StatusOr<TrainStepResult> TrainStep(
      const TrainStepRequest& request) override {
    return client().TrainStep(request);
  }
  absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request) override {
    return client().ReadParameters(request);
  }
  absl::Status WriteParameters(const WriteParametersRequest& request) override {
    return client().WriteParameters(request);
  }
  absl::StatusOr<std::vector<LayerLoad>> GetLoad(
      const std::string& layer) override {
    return client().GetLoad(layer);
  }

 private:
  GatewayClient& client() { return cluster_->client(); }
  const std::unique_ptr<LoopbackCluster> cluster_;
};

}  // namespace

LoopbackCluster::LoopbackCluster(int num_workers,
                                 GatewayServerOptions gateway_options,
                                 WorkerOptions worker_options,
                                 GatewayClientOptions client_options,
                                 bool form_group) {
  // A metrics page takes seconds to stop, and no test here reads it.
  gateway_options.metrics_address.clear();
  auto gateway = GatewayServer::Start(std::move(gateway_options));
  if (!gateway.ok()) {
    ADD_FAILURE() << gateway.status();
    return;
  }
  gateway_ = *std::move(gateway);
  const bool is_unix = absl::StartsWith(gateway_->address(), "unix:");
  client_ =
      std::make_unique<GatewayClient>(gateway_->address(), client_options);
  for (int i = 0; i < num_workers; ++i) {
    WorkerServerOptions options;
    options.metrics_address.clear();
    options.gateway_address = gateway_->address();
    if (is_unix) {
      options.listen_address = absl::StrCat(gateway_->address(), "-w", i);
    }
    if (form_group) options.group = "loopback";
    options.worker = worker_options;
    options.worker.worker_id = absl::StrCat("w", i);
    auto worker = WorkerServer::Start(std::move(options));
    if (!worker.ok()) {
      ADD_FAILURE() << worker.status();
      return;
    }
    workers_.push_back(*std::move(worker));
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (NumWorkersUp(*client_, form_group) < num_workers) {
    if (absl::Now() > deadline) {
      ADD_FAILURE() << "workers did not register within 30 s";
      return;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
}

std::unique_ptr<LayerApi> MakeRemoteLayerApi(int num_workers) {
  return MakeRemoteLayerApi(std::make_unique<LoopbackCluster>(num_workers));
}

std::unique_ptr<LayerApi> MakeRemoteLayerApi(
    std::unique_ptr<LoopbackCluster> cluster) {
  return std::make_unique<RemoteLayerApi>(std::move(cluster));
}

}  // namespace switchyard::testing
