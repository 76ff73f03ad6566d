// What the gate costs beside the matrix product that gives it its logits, both
// on one thread: from logits to the plan of what goes to which worker.
#include <dnnl.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/harness/alternate.h"
#include "bench/harness/bench_program.h"
#include "bench/harness/figure.h"
#include "common/base/status_macros.h"
#include "common/random/philox.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/routing/combine_weights.h"
#include "gateway/routing/expert_selection.h"
#include "gateway/routing/gate_scores.h"
#include "gateway/routing/route_drop.h"
#include "gateway/routing/router.h"

// libgomp's; declared here because clang ships no omp.h on Debian.
extern "C" void omp_set_num_threads(int num_threads);

namespace switchyard::bench {
namespace {

constexpr int64_t kHiddenSize = 1024;
constexpr int64_t kNumTokens = 8192;
constexpr int32_t kNumExperts = 64;
constexpr int32_t kNumWorkers = 2;

// Uniform in (-scale, scale).
Tensor Random(const Shape& shape, float scale) {
  const PhiloxStream random(MakePhiloxKey(1, "bench"), 0, 0);
  Tensor tensor = Tensor::Uninitialized(shape);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const PhiloxBlock block = random.Block(static_cast<uint64_t>(i / 4));
    const float u = ToOpenUnitInterval(block[static_cast<size_t>(i % 4)]);
    tensor.data()[i] = scale * (2 * u - 1);
  }
  return tensor;
}

LayerSpec TrainedLayer(int32_t num_experts) {
  LayerSpec spec;
  spec.name = "bench/layer";
  spec.hidden_size = kHiddenSize;
  spec.num_experts = num_experts;
  spec.gate.k = 8;
  return spec;
}

PlacementMap SpreadOut(int32_t num_experts) {
  PlacementMap map;
  for (int32_t e = 0; e < num_experts; ++e) {
    map.expert_workers.push_back({absl::StrCat("worker-", e % kNumWorkers)});
  }
  return map;
}

// A batch, and the whole way from its logits to the plan.
class Batch {
 public:
  Batch(int64_t num_tokens, int32_t num_experts)
      : spec_(TrainedLayer(num_experts)),
        logits_(Random({num_tokens, num_experts}, 3.0f)),
        placement_(SpreadOut(num_experts)) {}

  const LayerSpec& spec() const { return spec_; }
  const Tensor& logits() const { return logits_; }
  const Placement& placement() const { return placement_; }

  RoutingDecision Route() const {
    const GateDraws draws;
    const std::vector<bool> all_used;
    RouterInput input;
    input.logits = logits_;
    input.draws = &draws;
    input.used_tokens = &all_used;
    return RouteTokens(spec_, Mode::kTrain, input);
  }

  absl::Status RouteAndPlan() const {
    return PlanDispatch(RoutesOfRouter(Route()), placement_).status();
  }

 private:
  const LayerSpec spec_;
  const Tensor logits_;
  const Placement placement_;
};

Side Of(std::string name, std::function<void()> call) {
  return {std::move(name), [call = std::move(call)] {
            call();
            return absl::OkStatus();
          }};
}

// The logits' own product on this thread.
class LogitsGemm {
 public:
  LogitsGemm()
      : x_(Random({kNumTokens, kHiddenSize}, 1.0f)),
        weight_(Random({kNumExperts, kHiddenSize}, 0.1f)),
        logits_(Tensor::Zeros({kNumTokens, kNumExperts})) {}

  void Run() {
    omp_set_num_threads(1);
    dnnl_sgemm('N', 'T', kNumTokens, kNumExperts, kHiddenSize, 1.0f, x_.data(),
               kHiddenSize, weight_.data(), kHiddenSize, 0.0f, logits_.data(),
               kNumExperts);
  }

 private:
  const Tensor x_;
  const Tensor weight_;
  Tensor logits_;
};

// What the stages are given: all that the stages before them made.
struct StageInputs {
  explicit StageInputs(const Batch& batch)
      : scores(ComputeScores(ScoreFunction::kSoftmax, batch.logits())),
        decision(batch.Route()),
        routes(RoutesOfRouter(decision)),
        group(GroupOf(scores, {0, kNumTokens})) {
    group.capacity = decision.capacity;
  }

  GateDraws draws;
  std::vector<bool> all_used;
  std::vector<TokenRun> runs = {{0, kNumTokens}};
  GateScores scores;
  RoutingDecision decision;
  TokenRoutes routes;
  GroupRoutes group;
};

void AssignAll(const StageInputs& in) {
  SlottedRoutes routes;
  routes.expert_ids = in.decision.expert_ids;
  routes.slots.assign(routes.expert_ids.size(), 0);
  routes.kept_counts.assign(kNumExperts, 0);
  AssignSlots(in.group, in.decision.k, SlotOrder::kTokenMajor, routes);
}

void TakeLosses(const Batch& batch, const StageInputs& in) {
  ComputeAuxLosses({.gate = batch.spec().gate,
                    .logits = batch.logits(),
                    .clean_logits = {},
                    .scores = in.scores.values,
                    .chosen_ids = in.decision.chosen_ids,
                    .kept_ids = in.decision.expert_ids,
                    .weights = in.decision.weights,
                    .k = in.decision.k,
                    .used_tokens = in.all_used,
                    .local_groups = in.runs});
}

std::vector<Side> Stages(const Batch& batch, const StageInputs& in) {
  const GateSpec& gate = batch.spec().gate;
  return {
      Of("scores",
         [&] { ComputeScores(ScoreFunction::kSoftmax, batch.logits()); }),
      Of("top_k",
         [&] {
           SelectTopK(gate, {.logits = batch.logits(),
                             .scores = in.scores,
                             .correction_bias = {},
                             .draws = in.draws,
                             .used_tokens = in.all_used});
         }),
      Of("drops",
         [&] {
           std::vector<int32_t> ids = in.decision.chosen_ids;
           KeepLargestKeys(in.group, in.scores.values, in.decision.k, ids);
         }),
      Of("slots", [&] { AssignAll(in); }),
      Of("weights",
         [&] {
           CombineWeights(WeightRuleOf(gate), in.decision.raw_weights,
                          in.decision.chosen_ids, in.decision.expert_ids,
                          in.decision.k);
         }),
      Of("losses", [&] { TakeLosses(batch, in); }),
      Of("token_routes", [&] { RoutesOfRouter(in.decision); }),
      {"plan",
       [&] { return PlanDispatch(in.routes, batch.placement()).status(); }},
  };
}

absl::Status CompareWithGemm(const AlternateOptions& options) {
  const Batch batch(kNumTokens, kNumExperts);
  const StageInputs inputs(batch);
  LogitsGemm gemm;
  std::vector<Side> sides = Stages(batch, inputs);
  sides.push_back({"all", [&] { return batch.RouteAndPlan(); }});
  sides.push_back(Of("gemm", [&] { gemm.Run(); }));
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<Samples> samples,
                              Alternate(sides, options));
  for (size_t i = 0; i + 1 < sides.size(); ++i) {
    Note("%-13s %8.0f us", sides[i].name.c_str(), 1e6 * Median(samples[i]));
    Figure figure = {.name = absl::StrCat("gate/of_gemm/", sides[i].name),
                     .value = SpeedRatio(samples.back(), samples[i]),
                     .direction = Direction::kAtMost};
    if (sides[i].name == "all") figure.target = 0.3;
    Report(figure);
  }
  Note("logits GEMM   %8.0f us", 1e6 * Median(samples.back()));
  return absl::OkStatus();
}

// The time per token and expert of a large batch, as a multiple of the small
// one's.
absl::Status CompareSizes(const AlternateOptions& options,
                          const std::string& name, const Batch& small,
                          const Batch& large) {
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<Samples> samples,
      Alternate({{"small", [&] { return small.RouteAndPlan(); }},
                 {"large", [&] { return large.RouteAndPlan(); }}},
                options));
  const double growth = static_cast<double>(large.logits().num_elements()) /
                        static_cast<double>(small.logits().num_elements());
  Note("%s: %.1f ms and %.1f ms", name.c_str(), 1e3 * Median(samples[0]),
       1e3 * Median(samples[1]));
  Report({.name = name,
          .value = SpeedRatio(samples[0], samples[1]) / growth,
          .target = 1.25,
          .direction = Direction::kAtMost});
  return absl::OkStatus();
}

absl::Status CompareTokens(const AlternateOptions& options) {
  return CompareSizes(options, "gate/linear/tokens",
                      Batch(kNumTokens, kNumExperts),
                      Batch(int64_t{1} << 20, kNumExperts));
}

absl::Status CompareExperts(const AlternateOptions& options) {
  return CompareSizes(options, "gate/linear/experts",
                      Batch(kNumTokens, kNumExperts), Batch(kNumTokens, 1024));
}

}  // namespace
}  // namespace switchyard::bench

int main(int argc, char** argv) {
  using namespace switchyard::bench;  // NOLINT(google-build-using-namespace)
  return RunBenchProgram(argc, argv,
                         {{"gate/of_gemm", CompareWithGemm},
                          {"gate/linear/tokens", CompareTokens},
                          {"gate/linear/experts", CompareExperts}});
}
