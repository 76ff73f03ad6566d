#include "cli/status_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/table.h"

namespace switchyard {
namespace {

constexpr int kBarWidth = 24;

std::string Name(WorkerState state) {
  switch (state) {
    case WorkerState::kUp:
      return "UP";
    case WorkerState::kLost:
      return "LOST";
    case WorkerState::kLeft:
      return "LEFT";
  }
  return "UNKNOWN";
}

Colour ColourOf(WorkerState state) {
  switch (state) {
    case WorkerState::kUp:
      return Colour::kGreen;
    case WorkerState::kLost:
      return Colour::kRed;
    case WorkerState::kLeft:
      return Colour::kYellow;
  }
  return Colour::kNone;
}

std::string Name(LayerState state) {
  switch (state) {
    case LayerState::kServing:
      return "SERVING";
    case LayerState::kLostExperts:
      return "LOST_EXPERTS";
    case LayerState::kImporting:
      return "IMPORTING";
  }
  return "UNKNOWN";
}

Colour ColourOf(LayerState state) {
  switch (state) {
    case LayerState::kServing:
      return Colour::kGreen;
    case LayerState::kLostExperts:
      return Colour::kRed;
    case LayerState::kImporting:
      return Colour::kYellow;
  }
  return Colour::kNone;
}

std::string ExpertKind(const ExpertSpec& expert, int64_t hidden) {
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&expert)) {
    return absl::StrCat("mlp ", hidden, "-", mlp->ffn_size, "-", hidden);
  }
  if (const auto* gated = std::get_if<GatedExpertSpec>(&expert)) {
    return absl::StrCat("gated ", hidden, "-", gated->ffn_size, "-", hidden);
  }
  return absl::StrCat(std::holds_alternative<LinearExpertSpec>(expert)
                          ? "linear "
                          : "identity ",
                      hidden, "-", hidden);
}

std::string ExpertKind(const LayerSpec& spec) {
  std::string kind = ExpertKind(spec.expert, spec.hidden_size);
  if (spec.dense_branch.has_value()) {
    absl::StrAppend(&kind, " + dense ",
                    ExpertKind(spec.dense_branch->expert, spec.hidden_size));
  }
  return kind;
}

std::string Seconds(int64_t ms) {
  return absl::StrFormat("%.1f s", static_cast<double>(ms) * 1e-3);
}

std::string PageUrl(const std::string& metrics_address) {
  if (metrics_address.empty()) return "";
  return absl::StrCat("http://", metrics_address, "/metrics");
}

LayerLoad LoadOf(const ClusterStatus& status, const LayerStatus& layer) {
  LayerLoad load;
  load.layer = layer.spec.name;
  for (const LayerLoad& candidate : status.loads) {
    if (candidate.layer == layer.spec.name) load = candidate;
  }
  // Both answers came from another process: only what is there is indexed. The
  // dense branch, which is the last, gets every token.
  const size_t num_hosted = layer.placement.expert_workers.size();
  load.expert_tokens.resize(num_hosted, load.tokens);
  load.train_expert_tokens.resize(num_hosted, 0);
  return load;
}

int64_t Sum(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

Cell GroupCell(const WorkerStatus& worker) {
  if (worker.group.empty() || worker.group_connected) return worker.group;
  return absl::StrCat(worker.group, ", apart");
}

std::string FormatWorkers(const WorkerList& list, bool with_colour) {
  if (list.workers.empty()) return "No worker has registered.\n";
  const bool has_groups =
      std::any_of(list.workers.begin(), list.workers.end(),
                  [](const WorkerStatus& w) { return !w.group.empty(); });
  std::vector<Column> columns = {{"WORKER"},  {"ADDRESS"},
                                 {"STATE"},   {"RENEWED", Align::kRight},
                                 {"METRICS"}, {"REASON"}};
  if (has_groups) columns.insert(columns.begin() + 3, {"GROUP"});
  Table table(std::move(columns));
  for (const WorkerStatus& worker : list.workers) {
    std::vector<Cell> row = {
        worker.worker_id,
        worker.address,
        Cell(Name(worker.state), ColourOf(worker.state)),
        absl::StrCat(Seconds(worker.since_renewal_ms), " ago"),
        PageUrl(worker.metrics_address),
        worker.state_reason};
    if (has_groups) row.insert(row.begin() + 3, GroupCell(worker));
    table.AddRow(std::move(row));
  }
  return table.ToString("", with_colour);
}

std::string LayerHeading(const LayerStatus& layer, bool with_colour) {
  const LayerSpec& spec = layer.spec;
  std::string text = absl::StrCat(
      "layer ", Printable(spec.name), "  ",
      Coloured(Name(layer.state), ColourOf(layer.state), with_colour));
  if (!layer.state_reason.empty()) {
    absl::StrAppend(&text, ": ", Printable(layer.state_reason));
  }
  absl::StrAppend(&text, "\n  ", Counted(spec.num_experts, "expert"), " (",
                  ExpertKind(spec), "), top-", spec.gate.k, ", step ",
                  layer.step, ", ",
                  Counted(layer.num_open_microbatches, "open microbatch"),
                  ", placement version ", layer.placement.version, "\n");
  return text;
}

// Routes routed, kept or not, are what the drops are a share of.
// Without what the dense branch got.
std::vector<int64_t> RoutedTokens(const LayerSpec& spec,
                                  const LayerLoad& load) {
  std::vector<int64_t> routed = load.expert_tokens;
  routed.resize(static_cast<size_t>(spec.num_experts), 0);
  return routed;
}

std::string LoadHeading(const LayerSpec& spec, const LayerLoad& load) {
  return absl::StrCat(
      "  ", Counted(load.tokens, "token"), ", ",
      Counted(load.dropped_routes, "dropped route"), " (",
      Percent(load.dropped_routes, Sum(RoutedTokens(spec, load))),
      "), auxiliary loss ", absl::StrFormat("%.3f", load.aux_loss), "\n");
}

std::string FormatExperts(const LayerStatus& layer, const LayerLoad& load,
                          const ReportStyle& style) {
  const auto& expert_workers = layer.placement.expert_workers;
  size_t num_listed = expert_workers.size();
  if (style.max_experts > 0) {
    num_listed = std::min(num_listed, static_cast<size_t>(style.max_experts));
  }
  const std::vector<int64_t> routed = RoutedTokens(layer.spec, load);
  const int64_t total = Sum(routed);
  const int64_t most =
      routed.empty() ? 0 : *std::max_element(routed.begin(), routed.end());
  Table table({{"EXPERT", Align::kRight},
               {"WORKERS"},
               {"TOKENS", Align::kRight},
               {"SHARE", Align::kRight},
               {""}});
  for (size_t e = 0; e < num_listed; ++e) {
    const bool lost = expert_workers[e].empty();
    const Cell workers = lost ? Cell("lost", Colour::kRed)
                              : Cell(absl::StrJoin(expert_workers[e], ", "));
    const std::string tokens = GroupDigits(load.expert_tokens[e]);
    if (e < routed.size()) {
      table.AddRow({absl::StrCat(e), workers, tokens, Percent(routed[e], total),
                    Bar(routed[e], most, kBarWidth)});
    } else {
      table.AddRow({"dense", workers, tokens, "", ""});
    }
  }
  std::string text = table.ToString("  ", style.with_colour);
  if (num_listed < expert_workers.size()) {
    absl::StrAppend(&text, "  ... and ", expert_workers.size() - num_listed,
                    " more experts: --max-experts 0 lists them all\n");
  }
  return text;
}

nlohmann::ordered_json WorkerToJson(const WorkerStatus& worker) {
  return {{"worker_id", worker.worker_id},
          {"address", worker.address},
          {"metrics_address", worker.metrics_address},
          {"state", Name(worker.state)},
          {"state_reason", worker.state_reason},
          {"since_renewal_ms", worker.since_renewal_ms},
          {"group", worker.group},
          {"group_connected", worker.group_connected}};
}

nlohmann::ordered_json LayerToJson(const LayerStatus& layer,
                                   const LayerLoad& load) {
  nlohmann::ordered_json experts = nlohmann::ordered_json::array();
  for (size_t e = 0; e < layer.placement.expert_workers.size(); ++e) {
    experts.push_back({{"expert_id", e},
                       {"worker_ids", layer.placement.expert_workers[e]},
                       {"tokens", load.expert_tokens[e]},
                       {"train_tokens", load.train_expert_tokens[e]}});
  }
  nlohmann::ordered_json workers = nlohmann::ordered_json::array();
  for (const WorkerLoad& worker : load.workers) {
    workers.push_back(
        {{"worker_id", worker.worker_id}, {"routes", worker.routes}});
  }
  return {{"name", layer.spec.name},
          {"state", Name(layer.state)},
          {"state_reason", layer.state_reason},
          {"expert_kind", ExpertKind(layer.spec)},
          {"hidden_size", layer.spec.hidden_size},
          {"num_experts", layer.spec.num_experts},
          {"k", layer.spec.gate.k},
          {"step", layer.step},
          {"num_open_microbatches", layer.num_open_microbatches},
          {"placement_version", layer.placement.version},
          {"tokens", load.tokens},
          {"dropped_routes", load.dropped_routes},
          {"aux_loss", load.aux_loss},
          {"experts", std::move(experts)},
          {"workers", std::move(workers)}};
}

}  // namespace

std::string FormatStatus(const ClusterStatus& status,
                         const ReportStyle& style) {
  int num_up = 0;
  for (const WorkerStatus& worker : status.workers.workers) {
    num_up += worker.state == WorkerState::kUp ? 1 : 0;
  }
  std::string text =
      absl::StrCat("gateway ", status.gateway_address, ": ",
                   Counted(static_cast<int64_t>(status.layers.size()), "layer"),
                   ", ", num_up, " of ", status.workers.workers.size(),
                   " workers up, generation ", status.workers.generation,
                   "\n\n", FormatWorkers(status.workers, style.with_colour));
  if (status.layers.empty()) absl::StrAppend(&text, "\nThere is no layer.\n");
  for (const LayerStatus& layer : status.layers) {
    const LayerLoad load = LoadOf(status, layer);
    absl::StrAppend(&text, "\n", LayerHeading(layer, style.with_colour),
                    LoadHeading(layer.spec, load),
                    FormatExperts(layer, load, style));
  }
  return text;
}

std::string FormatLayerList(const std::vector<LayerStatus>& layers,
                            bool with_colour) {
  if (layers.empty()) return "There is no layer.\n";
  Table table({{"LAYER"},
               {"STATE"},
               {"EXPERTS", Align::kRight},
               {"KIND"},
               {"K", Align::kRight},
               {"STEP", Align::kRight},
               {"REASON"}});
  for (const LayerStatus& layer : layers) {
    table.AddRow(
        {layer.spec.name, Cell(Name(layer.state), ColourOf(layer.state)),
         absl::StrCat(layer.spec.num_experts), ExpertKind(layer.spec),
         absl::StrCat(layer.spec.gate.k),
         GroupDigits(static_cast<int64_t>(layer.step)), layer.state_reason});
  }
  return table.ToString("", with_colour);
}

nlohmann::ordered_json StatusToJson(const ClusterStatus& status) {
  nlohmann::ordered_json workers = nlohmann::ordered_json::array();
  for (const WorkerStatus& worker : status.workers.workers) {
    workers.push_back(WorkerToJson(worker));
  }
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerStatus& layer : status.layers) {
    layers.push_back(LayerToJson(layer, LoadOf(status, layer)));
  }
  return {{"gateway", status.gateway_address},
          {"generation", status.workers.generation},
          {"workers", std::move(workers)},
          {"layers", std::move(layers)}};
}

}  // namespace switchyard
