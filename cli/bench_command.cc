#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/load/load_report.h"
#include "cli/load/load_run.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

struct BenchFlags {
  ConnectionFlags connection;
  std::string layer;
  // Empty and no sweep: closed loop.
  std::vector<double> rates_per_s;
  bool sweep = false;
  int64_t num_tokens = 64;
  int num_clients = 1;
  int max_outstanding = 4;
  double duration_s = 10;
  uint64_t seed = 1;
  bool bfloat16 = false;
  std::string json_file;
};

// Standard normal, as activations are after a norm.
Tensor RandomTokens(int64_t num_tokens, int64_t hidden_size, uint64_t seed) {
  Tensor tokens = Tensor::Uninitialized({num_tokens, hidden_size});
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (float& value : tokens.values()) value = normal(random);
  return tokens;
}

absl::StatusOr<LoadOptions> OptionsOf(const BenchFlags& flags) {
  LoadOptions options;
  options.gateway = flags.connection.gateway;
  options.client = flags.connection.ToClientOptions();
  options.client.bfloat16_activations = flags.bfloat16;
  options.layer = flags.layer;
  options.num_clients = flags.num_clients;
  options.max_outstanding_per_client = flags.max_outstanding;
  options.duration = absl::Seconds(flags.duration_s);
  options.seed = flags.seed;
  GatewayClient client(options.gateway, options.client);
  SWITCHYARD_ASSIGN_OR_RETURN(const LayerStatus layer,
                              client.GetLayer(flags.layer));
  options.x =
      RandomTokens(flags.num_tokens, layer.spec.hidden_size, flags.seed);
  return options;
}

absl::StatusOr<OfferedLoad> Offer(double rate_per_s, LoadOptions& options) {
  options.rate_per_s = rate_per_s;
  OfferedLoad load = {.rate_per_s = rate_per_s, .result = {}};
  SWITCHYARD_ASSIGN_OR_RETURN(load.result, RunLoad(options));
  return load;
}

// What the gateway answers at most, from the closed loop, and then rates up to
// a fifth more.
absl::StatusOr<std::vector<OfferedLoad>> Sweep(LoadOptions& options) {
  std::vector<OfferedLoad> loads;
  SWITCHYARD_ASSIGN_OR_RETURN(OfferedLoad closed, Offer(0, options));
  const double most_per_s = closed.result.AnsweredPerSecond();
  loads.push_back(std::move(closed));
  if (most_per_s == 0) return loads;
  for (const double share : {0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2}) {
    SWITCHYARD_ASSIGN_OR_RETURN(OfferedLoad load,
                                Offer(share * most_per_s, options));
    loads.push_back(std::move(load));
    if (IsSaturated(loads.back())) break;
  }
  return loads;
}

absl::StatusOr<std::vector<OfferedLoad>> RunLoads(const BenchFlags& flags) {
  SWITCHYARD_ASSIGN_OR_RETURN(LoadOptions options, OptionsOf(flags));
  if (flags.sweep) return Sweep(options);
  std::vector<double> rates = flags.rates_per_s;
  if (rates.empty()) rates.push_back(0);
  std::vector<OfferedLoad> loads;
  for (const double rate : rates) {
    SWITCHYARD_ASSIGN_OR_RETURN(OfferedLoad load, Offer(rate, options));
    loads.push_back(std::move(load));
  }
  return loads;
}

int RunBench(const BenchFlags& flags) {
  if (const absl::Status status = CheckConnection(flags.connection);
      !status.ok()) {
    return Complain("bench", status, kUsage);
  }
  // Before the load: a path that cannot be written is found at once.
  std::ofstream json_file;
  if (!flags.json_file.empty()) {
    json_file.open(flags.json_file);
    if (!json_file) {
      return Complain("bench",
                      absl::InvalidArgumentError(absl::StrCat(
                          "--json: cannot write ", flags.json_file)),
                      kUsage);
    }
  }
  const absl::StatusOr<std::vector<OfferedLoad>> loads = RunLoads(flags);
  if (!loads.ok()) {
    return Complain(
        "bench", ExplainUnavailable(loads.status(), flags.connection), kFailed);
  }
  std::fputs(FormatLoads(*loads).c_str(), stdout);
  if (json_file.is_open()) json_file << LoadsToJson(*loads).dump(2) << "\n";
  int64_t num_answered = 0;
  for (const OfferedLoad& load : *loads) num_answered += load.result.answered;
  return num_answered > 0 ? 0 : kFailed;
}

void AddFlags(CLI::App& bench, BenchFlags& flags) {
  AddConnectionFlags(bench, flags.connection);
  bench.add_option("--layer", flags.layer, "The layer to call")
      ->type_name("NAME")
      ->required();
  CLI::Option* const rate =
      bench
          .add_option(
              "--rate", flags.rates_per_s,
              "Requests per second of all clients, at random times "
              "whether answered or not; several: one run each. Without: "
              "each caller asks again when it has its answer")
          ->type_name("R[,R...]")
          ->delimiter(',')
          ->check(CLI::Range(1e-3, 1e6));
  bench
      .add_flag("--sweep", flags.sweep,
                "Finds the most the gateway answers, then offers a tenth of it "
                "and so on, up to saturation")
      ->excludes(rate);
  bench.add_option("--tokens", flags.num_tokens, "Tokens of a request")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({1, 1 << 20}));
  bench
      .add_option("--clients", flags.num_clients,
                  "Clients, each with a connection of its own")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({1, 4096}));
  bench
      .add_option("--outstanding", flags.max_outstanding,
                  "Most requests of a client at a time")
      ->type_name("N")
      ->capture_default_str()
      ->check(IntegerIn({1, 4096}));
  bench.add_option("--duration-s", flags.duration_s, "Time of each run")
      ->type_name("S")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86'400.0));
  bench.add_option("--seed", flags.seed, "Of tokens and arrival times")
      ->type_name("N")
      ->capture_default_str();
  bench.add_flag("--bfloat16", flags.bfloat16,
                 "Activations travel as bfloat16");
  bench.add_option("--json", flags.json_file, "Also writes the results there")
      ->type_name("FILE");
}

}  // namespace

void AddBenchCommand(CLI::App& app, Action& action) {
  CLI::App* const bench = app.add_subcommand(
      "bench", "Load a layer with forwards: latency, rate and fairness");
  const auto flags = std::make_shared<BenchFlags>();
  AddFlags(*bench, *flags);
  bench->callback(
      [flags, &action] { action = [flags] { return RunBench(*flags); }; });
}

}  // namespace switchyard
