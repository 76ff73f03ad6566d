#include "examples/image_classifier/report.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "examples/image_classifier/format.h"

namespace switchyard::image_classifier {
namespace {

double Seconds(int64_t us) { return static_cast<double>(us) * 1e-6; }

// 0 where the divisor is 0.
double Ratio(double dividend, double divisor) {
  return divisor == 0 ? 0 : dividend / divisor;
}

std::string FormatAccuracy(const NetworkRecord& network) {
  return network.test_accuracy
             ? absl::StrFormat("%6.2f %%", 100 * *network.test_accuracy)
             : "not tested";
}

void AppendAccuracy(const TrainingRecord& record, std::string& text) {
  absl::StrAppend(&text, "\nTest accuracy on ",
                  FormatCount(record.num_test_images), " images\n");
  if (record.moe) {
    absl::StrAppend(&text, "  MoE network  ", FormatAccuracy(*record.moe),
                    "\n");
  }
  if (record.dense) {
    absl::StrAppend(&text, "  dense twin   ", FormatAccuracy(*record.dense),
                    "\n");
  }
}

std::string FormatWorkers(const std::vector<std::string>& workers) {
  return workers.empty() ? "lost" : absl::StrJoin(workers, ", ");
}

void AppendExperts(const MoeRecord& moe, const LayerRecord& layer,
                   std::string& text) {
  const std::vector<int64_t>& tokens = layer.load.train_expert_tokens;
  const std::vector<std::vector<std::string>>& placement =
      layer.status.placement.expert_workers;
  const std::vector<double> shares = Shares(tokens);
  absl::StrAppendFormat(&text, "\n%-8s%18s%9s  %s\n", "Expert",
                        "training tokens", "share", "worker");
  for (size_t i = 0; i < std::min(tokens.size(), placement.size()); ++i) {
    absl::StrAppendFormat(&text, "%6d  %18s%9s  %s\n", i,
                          FormatCount(tokens[i]), FormatShare(shares[i]),
                          FormatWorkers(placement[i]));
  }
  const LayerSpec& spec = layer.status.spec;
  absl::StrAppendFormat(
      &text,
      "Auxiliary loss of the last batch: %.3f (1: balanced, %g: worst)\n",
      moe.aux_loss, Ratio(static_cast<double>(spec.num_experts), spec.gate.k));
  absl::StrAppend(&text,
                  "Dropped by capacity: ", FormatCount(moe.num_dropped_routes),
                  " of ", FormatCount(moe.num_routes), " training routes (",
                  FormatShare(Ratio(static_cast<double>(moe.num_dropped_routes),
                                    static_cast<double>(moe.num_routes))),
                  "); none in tests\n");
}

// "0, 2": the experts that have a replica on this worker.
std::string HostedExperts(const PlacementMap& placement,
                          const std::string& worker) {
  std::vector<size_t> hosted;
  for (size_t i = 0; i < placement.expert_workers.size(); ++i) {
    const std::vector<std::string>& workers = placement.expert_workers[i];
    if (std::count(workers.begin(), workers.end(), worker) > 0) {
      hosted.push_back(i);
    }
  }
  return absl::StrJoin(hosted, ", ");
}

void AppendWorkers(const LayerRecord& layer, std::string& text) {
  size_t name_width = 8;
  for (const WorkerLoad& worker : layer.load.workers) {
    name_width = std::max(name_width, worker.worker_id.size() + 2);
  }
  const int width = static_cast<int>(name_width);
  absl::StrAppendFormat(&text, "\n%-*s%18s  %s\n", width, "Worker", "routes",
                        "experts");
  for (const WorkerLoad& worker : layer.load.workers) {
    absl::StrAppendFormat(
        &text, "%-*s%18s  %s\n", width, worker.worker_id,
        FormatCount(worker.routes),
        HostedExperts(layer.status.placement, worker.worker_id));
  }
}

void AppendTimePart(const char* name, int64_t part_us, int64_t total_us,
                    std::string& text) {
  absl::StrAppendFormat(
      &text, "  %-14s%8.1f s%9s\n", name, Seconds(part_us),
      FormatShare(Ratio(Seconds(part_us), Seconds(total_us))));
}

void AppendCalls(const char* name, const CallTimes& calls, std::string& text) {
  const auto mean_ms = [&](int64_t us) {
    return Ratio(1e3 * Seconds(us), static_cast<double>(calls.num_calls));
  };
  absl::StrAppendFormat(
      &text, "  %-14s%8s  %8.3f ms%10.3f ms%10.3f ms\n", name,
      FormatCount(calls.num_calls), mean_ms(calls.wall_us),
      mean_ms(calls.timing.gateway_us - calls.timing.workers_wait_us),
      mean_ms(calls.timing.worker_compute_us));
}

void AppendTime(const NetworkRecord& network, const LayerCallTimes& calls,
                std::string& text) {
  const TimeBreakdown time = BreakDown(network.train_us, calls);
  absl::StrAppendFormat(
      &text, "\nWhere the time went: %.1f s for %s tokens, %s tokens/s\n",
      Seconds(time.total_us), FormatCount(network.num_tokens),
      FormatCount(std::llround(TokensPerSecond(network))));
  AppendTimePart("client trunk", time.client_trunk_us, time.total_us, text);
  AppendTimePart("gateway", time.gateway_us, time.total_us, text);
  AppendTimePart("workers", time.workers_us, time.total_us, text);
  AppendTimePart("wire", time.wire_us, time.total_us, text);
  absl::StrAppendFormat(&text, "\n%-16s%8s  %11s%13s%13s\n", "Call", "calls",
                        "mean", "gateway", "workers");
  AppendCalls("Forward", calls.forward, text);
  AppendCalls("Backward", calls.backward, text);
  AppendCalls("Step", calls.step, text);
}

std::string ResultAccuracy(const std::optional<NetworkRecord>& network) {
  if (!network || !network->test_accuracy) return "n/a";
  return absl::StrFormat("%.4f", *network->test_accuracy);
}

std::string ResultLeastShare(const LayerRecord* layer) {
  if (layer == nullptr) return "n/a";
  const std::vector<double> shares = Shares(layer->load.train_expert_tokens);
  if (shares.empty()) return "n/a";
  return absl::StrFormat("%.4f",
                         *std::min_element(shares.begin(), shares.end()));
}

}  // namespace

double TokensPerSecond(const NetworkRecord& network) {
  return Ratio(static_cast<double>(network.num_tokens),
               Seconds(network.train_us));
}

TimeBreakdown BreakDown(int64_t train_us, const LayerCallTimes& calls) {
  TimeBreakdown time;
  time.total_us = train_us;
  int64_t calls_wall_us = 0;
  for (const CallTimes* kind : {&calls.forward, &calls.backward, &calls.step}) {
    calls_wall_us += kind->wall_us;
    time.gateway_us += kind->timing.gateway_us - kind->timing.workers_wait_us;
    time.workers_us += kind->timing.worker_compute_us;
  }
  time.wire_us = calls_wall_us - time.gateway_us - time.workers_us;
  time.client_trunk_us = train_us - calls_wall_us;
  return time;
}

std::string RenderReport(const TrainingRecord& record,
                         const LayerRecord* layer) {
  std::string text;
  if (record.interrupted) {
    absl::StrAppend(&text, "\nInterrupted: this is how far it came.\n");
  }
  AppendAccuracy(record, text);
  if (layer != nullptr) {
    AppendExperts(record.moe_layer, *layer, text);
    AppendWorkers(*layer, text);
  }
  if (record.moe) AppendTime(*record.moe, record.moe_layer.call_times, text);
  return text;
}

std::string RenderResultLine(const TrainingRecord& record,
                             const LayerRecord* layer) {
  const NetworkRecord network =
      record.moe ? *record.moe : record.dense.value_or(NetworkRecord());
  return absl::StrFormat(
      "result: dataset=%s test_accuracy=%s dense_test_accuracy=%s "
      "min_expert_share=%s steps=%d tokens_per_second=%.0f seconds=%.1f",
      record.dataset, ResultAccuracy(record.moe), ResultAccuracy(record.dense),
      ResultLeastShare(layer), network.num_steps, TokensPerSecond(network),
      Seconds(network.train_us));
}

}  // namespace switchyard::image_classifier
