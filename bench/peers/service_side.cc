// Our side of a comparison with a peer: starts gateway and two workers, makes a
// layer as the flags say, then serves commands from standard input, one a line:
//
//   forward   an eval Forward of --tokens tokens
//   train     Forward, Backward and Step
//
// and answers each with the seconds it took. Ends with its input.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/end_to_end/bench_cluster.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"

namespace switchyard::bench {
namespace {

struct Flags {
  std::string expert = "gated";
  int64_t hidden = 1024;
  int64_t ffn = 4096;
  int32_t experts = 8;
  int32_t k = 2;
  int64_t tokens = 1024;
  bool drop = false;
};

LayerSpec LayerOf(const Flags& flags) {
  LayerSpec spec;
  spec.name = "peer";
  spec.hidden_size = flags.hidden;
  spec.num_experts = flags.experts;
  if (flags.expert == "gated") {
    spec.expert = GatedExpertSpec{.ffn_size = flags.ffn};
  } else {
    spec.expert =
        MlpExpertSpec{flags.ffn, flags.expert == "gelu" ? Activation::kGelu
                                                        : Activation::kRelu};
  }
  spec.gate.k = flags.k;
  spec.capacity.drop_tokens = flags.drop;
  spec.optimizer = AdamSpec{.weight_decay = 0.01f, .decoupled = true};
  return spec;
}

absl::Status Forward(GatewayClient& client, const Tensor& x) {
  ForwardRequest request;
  request.layer = "peer";
  request.x = x.Clone();
  return client.Forward(request).status();
}

absl::Status Train(GatewayClient& client, const Tensor& x) {
  ForwardRequest forward;
  forward.layer = "peer";
  forward.mode = Mode::kTrain;
  forward.x = x.Clone();
  SWITCHYARD_ASSIGN_OR_RETURN(const ForwardResult result,
                              client.Forward(forward));
  BackwardRequest backward;
  backward.layer = "peer";
  backward.step = result.step;
  backward.microbatch = result.microbatch;
  backward.grad_y = x.Clone();
  SWITCHYARD_RETURN_IF_ERROR(client.Backward(backward).status());
  return client
      .Step({.layer = "peer", .step = result.step, .learning_rate = 1e-6f})
      .status();
}

absl::Status Serve(const Flags& flags) {
  SWITCHYARD_ASSIGN_OR_RETURN(const auto cluster, BenchCluster::Start());
  GatewayClient& client = cluster->client();
  SWITCHYARD_RETURN_IF_ERROR(client.CreateLayer(LayerOf(flags)).status());
  const Tensor x = BenchTokens(flags.tokens, flags.hidden);
  std::printf("ready\n");
  std::fflush(stdout);
  for (std::string command; std::getline(std::cin, command);) {
    const Stopwatch stopwatch;
    if (command != "forward" && command != "train") {
      return absl::InvalidArgumentError(
          absl::StrCat("got '", command, "', expected forward or train"));
    }
    SWITCHYARD_RETURN_IF_ERROR(command == "train" ? Train(client, x)
                                                  : Forward(client, x));
    std::printf("%.9f\n", static_cast<double>(stopwatch.ElapsedUs()) * 1e-6);
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  switchyard::bench::Flags flags;
  CLI::App app("Our side of a comparison with a peer");
  app.add_option("--expert", flags.expert, "gated, gelu or relu")
      ->check(CLI::IsMember({"gated", "gelu", "relu"}));
  app.add_option("--hidden", flags.hidden);
  app.add_option("--ffn", flags.ffn);
  app.add_option("--experts", flags.experts);
  app.add_option("--k", flags.k);
  app.add_option("--tokens", flags.tokens);
  app.add_flag("--drop", flags.drop, "capacity drops tokens");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = switchyard::bench::Serve(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "peers_service_side: %s\n", status.ToString().c_str());
  return 1;
}
