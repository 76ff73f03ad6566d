#include "gateway/layer/load_tracker.h"

namespace switchyard {

LoadTracker::LoadTracker(const LayerSpec& spec, GatewayMetrics& metrics)
    : metrics_(metrics),
      series_(metrics.AddLayer(spec.name, spec.num_experts)) {
  load_.layer = spec.name;
  load_.expert_tokens.resize(static_cast<size_t>(spec.num_experts));
  load_.train_expert_tokens.resize(static_cast<size_t>(spec.num_experts));
}

LoadTracker::~LoadTracker() { metrics_.RemoveLayer(series_); }

void LoadTracker::OnForward(Mode mode, const RoutingDecision& decision,
                            const DispatchPlan& plan,
                            const Placement& placement) {
  int64_t num_dropped = 0;
  for (size_t e = 0; e < decision.expert_counts.size(); ++e) {
    num_dropped += decision.expert_counts[e] - decision.kept_counts[e];
    if (decision.expert_counts[e] > 0) {
      series_.expert_tokens[e]->Increment(
          static_cast<double>(decision.expert_counts[e]));
    }
  }
  series_.tokens->Increment(static_cast<double>(decision.num_tokens));
  series_.dropped_routes->Increment(static_cast<double>(num_dropped));
  series_.aux_loss->Set(decision.aux_loss);

  MutexLock lock(mutex_);
  for (size_t e = 0; e < decision.expert_counts.size(); ++e) {
    load_.expert_tokens[e] += decision.expert_counts[e];
    if (mode == Mode::kTrain) {
      load_.train_expert_tokens[e] += decision.expert_counts[e];
    }
  }
  load_.dropped_routes += num_dropped;
  load_.tokens += decision.num_tokens;
  load_.aux_loss = decision.aux_loss;
  for (const GroupDispatch& group : plan.groups) {
    worker_routes_[placement
                       .workers()[static_cast<size_t>(group.worker_idx)]] +=
        static_cast<int64_t>(group.route_entries.size());
  }
}

void LoadTracker::OnStep() {
  series_.steps->Increment();
  MutexLock lock(mutex_);
  ++load_.steps;
}

LayerLoad LoadTracker::Snapshot() const {
  MutexLock lock(mutex_);
  LayerLoad load = load_;
  for (const auto& [worker_id, routes] : worker_routes_) {
    load.workers.push_back({.worker_id = worker_id, .routes = routes});
  }
  return load;
}

}  // namespace switchyard
