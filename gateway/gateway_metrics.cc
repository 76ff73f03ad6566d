#include "gateway/gateway_metrics.h"

#include "common/metrics/metrics.h"

namespace switchyard {
namespace {

constexpr std::array<const char*, kNumStages> kStageNames = {
    "gate", "plan", "experts", "combine", "gate_backward", "prepare", "commit"};

constexpr std::array<const char*, kNumGroupCallOutcomes> kOutcomeNames = {
    "done", "failed", "broken"};

}  // namespace

GatewayMetrics::GatewayMetrics(prometheus::Registry& registry)
    : expert_tokens_(
          prometheus::BuildCounter()
              .Name("switchyard_expert_tokens_total")
              .Help("Tokens routed to each expert, before capacity drops any")
              .Register(registry)),
      tokens_(prometheus::BuildCounter()
                  .Name("switchyard_tokens_total")
                  .Help("Tokens that came in")
                  .Register(registry)),
      dropped_routes_(prometheus::BuildCounter()
                          .Name("switchyard_dropped_routes_total")
                          .Help("Routes refused by expert capacity")
                          .Register(registry)),
      steps_(prometheus::BuildCounter()
                 .Name("switchyard_steps_total")
                 .Help("Optimizer steps committed")
                 .Register(registry)),
      aux_loss_(prometheus::BuildGauge()
                    .Name("switchyard_auxiliary_loss")
                    .Help("Load balancing loss of the newest forward; 1 is "
                          "perfect balance")
                    .Register(registry)),
      merged_requests_(
          prometheus::BuildHistogram()
              .Name("switchyard_merged_requests")
              .Help("Eval forwards that went to the workers together, where "
                    "merging is on")
              .Register(registry)
              .Add({}, prometheus::Histogram::BucketBoundaries{1, 2, 4, 8, 16,
                                                               32, 64, 128})),
      workers_up_(prometheus::BuildGauge()
                      .Name("switchyard_workers_up")
                      .Help("Expert workers that hold a lease")
                      .Register(registry)
                      .Add({})),
      workers_lost_(prometheus::BuildCounter()
                        .Name("switchyard_workers_lost_total")
                        .Help("Expert workers whose lease ran out or that "
                              "could not be reached")
                        .Register(registry)
                        .Add({})),
      groups_connected_(prometheus::BuildGauge()
                            .Name("switchyard_groups_connected")
                            .Help("Groups of workers that take calls as one")
                            .Register(registry)
                            .Add({})) {
  auto& group_calls =
      prometheus::BuildCounter()
          .Name("switchyard_group_calls_total")
          .Help(
              "Exchanges that went through groups of workers, by outcome: "
              "done, failed, or broken with the group")
          .Register(registry);
  for (size_t i = 0; i < kOutcomeNames.size(); ++i) {
    group_calls_[i] = &group_calls.Add({{"outcome", kOutcomeNames[i]}});
  }
  auto& stage_family = prometheus::BuildHistogram()
                           .Name("switchyard_stage_seconds")
                           .Help("Time of each part of a call in the gateway")
                           .Register(registry);
  for (size_t i = 0; i < kStageNames.size(); ++i) {
    stages_[i] =
        &stage_family.Add({{"stage", kStageNames[i]}}, LatencyBucketsSeconds());
  }
}

LayerMetrics GatewayMetrics::AddLayer(const std::string& layer,
                                      int32_t num_experts) {
  LayerMetrics metrics;
  for (int32_t expert = 0; expert < num_experts; ++expert) {
    metrics.expert_tokens.push_back(&expert_tokens_.Add(
        {{"layer", layer}, {"expert", std::to_string(expert)}}));
  }
  metrics.tokens = &tokens_.Add({{"layer", layer}});
  metrics.dropped_routes = &dropped_routes_.Add({{"layer", layer}});
  metrics.steps = &steps_.Add({{"layer", layer}});
  metrics.aux_loss = &aux_loss_.Add({{"layer", layer}});
  return metrics;
}

void GatewayMetrics::RemoveLayer(const LayerMetrics& layer) {
  for (prometheus::Counter* counter : layer.expert_tokens) {
    expert_tokens_.Remove(counter);
  }
  tokens_.Remove(layer.tokens);
  dropped_routes_.Remove(layer.dropped_routes);
  steps_.Remove(layer.steps);
  aux_loss_.Remove(layer.aux_loss);
}

void GatewayMetrics::ObserveStage(Stage stage, int64_t latency_us) {
  ObserveUs(*stages_[static_cast<size_t>(stage)], latency_us);
}

void GatewayMetrics::SetWorkersUp(int num_workers) {
  workers_up_.Set(num_workers);
}

}  // namespace switchyard
