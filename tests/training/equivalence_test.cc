// The same training gives the same numbers wherever it runs: remote or
// in-process, with 1, 2 or 3 workers.
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/process/socket_folder.h"
#include "common/base/status_testing.h"
#include "tests/testing/layer_api.h"
#include "tests/testing/parameters_testing.h"
#include "tests/testing/remote_layer_api.h"

namespace switchyard::testing {
namespace {

constexpr int kSteps = 6;

// Everything that a training shows, in order, as bits.
struct Trace {
  std::vector<float> numbers;
  std::vector<float> final_parameters;

  void Add(absl::Span<const float> values) {
    numbers.insert(numbers.end(), values.begin(), values.end());
  }
};

void ExpectSameBits(const std::vector<float>& got,
                    const std::vector<float>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(std::memcmp(&got[i], &want[i], sizeof(float)), 0)
        << what << " at " << i << ": " << got[i] << " and " << want[i];
  }
}

LayerSpec NoisySpec(int32_t k) {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = 12;
  spec.num_experts = 6;
  spec.expert = MlpExpertSpec{.ffn_size = 20, .activation = Activation::kGelu};
  spec.gate.k = k;
  spec.gate.noise_policy =
      k == 1 ? NoisePolicy::kRSample : NoisePolicy::kJitter;
  spec.gate.second_expert_sampling = true;
  spec.capacity.capacity_factor = 1.0f;
  spec.aux_loss_coefficient = 0.01f;
  spec.optimizer = AdamSpec{.weight_decay = 0.01f, .decoupled = true};
  spec.seed = 7;
  // For k > 2 only sums by route are independent of the number of workers.
  spec.exact_combine = k > 2;
  return spec;
}

// TrainSteps with a classification head, then the same layer by hand: two
// microbatches a step.
Trace Train(LayerApi& api, const LayerSpec& spec) {
  Trace trace;
  EXPECT_OK(api.CreateLayer(spec));
  for (uint32_t t = 0; t < kSteps; ++t) {
    TrainStepRequest request;
    request.layer = spec.name;
    request.learning_rate = 0.01f;
    request.return_grad_x = true;
    request.x = RandomTensor({4, 8, spec.hidden_size}, t);
    CrossEntropyHead head;
    for (int i = 0; i < 32; ++i) head.labels.push_back((i * 5) % 12);
    request.head = head;
    const auto result = api.TrainStep(request);
    EXPECT_OK(result);
    if (!result.ok()) return trace;
    trace.Add({result->loss, result->aux_loss,
               static_cast<float>(result->grad_norm)});
    trace.Add(result->grad_x->values());
  }
  for (uint32_t t = 0; t < kSteps; ++t) {
    uint64_t step = 0;
    for (uint32_t m = 0; m < 2; ++m) {
      ForwardRequest forward;
      forward.layer = spec.name;
      forward.mode = Mode::kTrain;
      forward.x = RandomTensor({24, spec.hidden_size}, 100 + 2 * t + m);
      const auto result = api.Forward(forward);
      EXPECT_OK(result);
      if (!result.ok()) return trace;
      trace.Add(result->y.values());
      step = result->step;
      BackwardRequest backward;
      backward.layer = spec.name;
      backward.step = step;
      backward.microbatch = result->microbatch;
      backward.grad_aux_loss = 0.02f;
      backward.grad_y = RandomTensor({24, spec.hidden_size}, 200 + 2 * t + m);
      const auto gradient = api.Backward(backward);
      EXPECT_OK(gradient);
      if (!gradient.ok()) return trace;
      trace.Add(gradient->grad_x.values());
    }
    const auto stepped =
        api.Step({.layer = spec.name, .step = step, .learning_rate = 0.01f});
    EXPECT_OK(stepped);
  }
  const auto parameters = ReadAll(api, spec.name);
  EXPECT_OK(parameters);
  if (!parameters.ok()) return trace;
  for (const auto& [name, values] : *parameters) {
    trace.final_parameters.insert(trace.final_parameters.end(), values.begin(),
                                  values.end());
  }
  return trace;
}

// Everything that open models add: shared experts with their gate, sigmoid
// scores with a bias that moves, groups, weights on inputs where `on_input`.
LayerSpec ModernSpec(bool on_input) {
  LayerSpec spec = NoisySpec(3);
  spec.expert = GatedExpertSpec{.ffn_size = 10};
  spec.gate.score_function = ScoreFunction::kSigmoid;
  spec.gate.score_correction_bias = true;
  spec.gate.bias_update_rate = 0.01f;
  spec.gate.group_limit = GroupLimitSpec{
      .num_groups = 2, .num_selected_groups = 1, .score = GroupScore::kTop2Sum};
  spec.gate.normalization = WeightNormalization::kChosen;
  spec.gate.scaling_factor = 2.5f;
  spec.gate.weight_application =
      on_input ? WeightApplication::kInput : WeightApplication::kOutput;
  spec.gate.aux_losses = {{.kind = AuxLossKind::kGlobalBatch},
                          {.kind = AuxLossKind::kZ, .coefficient = 0.1f}};
  spec.dense_branch = DenseBranchSpec{
      .expert = GatedExpertSpec{.ffn_size = 14, .bias = true},
      .mix = on_input ? BranchMix::kSum : BranchMix::kSigmoidGate};
  spec.capacity.drop_tokens = false;
  // Four routes with the branch's.
  spec.exact_combine = true;
  return spec;
}

struct EquivalenceCase {
  std::string name;
  LayerSpec spec;
};
void PrintTo(const EquivalenceCase& c, std::ostream* os) { *os << c.name; }

class EquivalenceTest : public ::testing::TestWithParam<EquivalenceCase> {};

TEST_P(EquivalenceTest,
       RemoteAndInProcessWithAnyNumberOfWorkersAgreeInEveryBit) {
  const LayerSpec& spec = GetParam().spec;
  const Trace want = Train(*MakeEmbeddedLayerApi(1), spec);
  ASSERT_FALSE(want.final_parameters.empty());
  for (const int num_workers : {1, 2, 3}) {
    for (const bool remote : {false, true}) {
      const std::string what = absl::StrCat(
          remote ? "remote, " : "in-process, ", num_workers, " workers");
      const auto api = remote ? MakeRemoteLayerApi(num_workers)
                              : MakeEmbeddedLayerApi(num_workers);
      const Trace got = Train(*api, spec);
      ExpectSameBits(got.numbers, want.numbers, what);
      ExpectSameBits(got.final_parameters, want.final_parameters, what);
    }
  }
}

TEST_P(EquivalenceTest, WorkersThatExchangeTokensAmongThemselvesChangeNoBit) {
  const LayerSpec& spec = GetParam().spec;
  const Trace want = Train(*MakeEmbeddedLayerApi(1), spec);
  ASSERT_FALSE(want.final_parameters.empty());
  for (const int num_workers : {2, 3}) {
    for (const bool remote : {false, true}) {
      const std::string what =
          absl::StrCat(remote ? "remote, " : "in-process, ", "a group of ",
                       num_workers, " workers");
      const auto api =
          remote ? MakeRemoteLayerApi(std::make_unique<LoopbackCluster>(
                       num_workers, GatewayServerOptions(), WorkerOptions(),
                       GatewayClientOptions(), /*form_group=*/true))
                 : MakeEmbeddedLayerApi(num_workers, /*form_group=*/true);
      const Trace got = Train(*api, spec);
      ExpectSameBits(got.numbers, want.numbers, what);
      ExpectSameBits(got.final_parameters, want.final_parameters, what);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layers, EquivalenceTest,
    ::testing::Values(EquivalenceCase{"k1", NoisySpec(1)},
                      EquivalenceCase{"k2", NoisySpec(2)},
                      EquivalenceCase{"k4", NoisySpec(4)},
                      EquivalenceCase{"modern", ModernSpec(false)},
                      EquivalenceCase{"modern_on_input", ModernSpec(true)}),
    [](const auto& tested) { return tested.param.name; });

// Tensors of 24 KiB and more, which shared memory takes.
LayerSpec WideSpec(int32_t k) {
  LayerSpec spec = NoisySpec(k);
  spec.hidden_size = 256;
  spec.capacity.drop_tokens = false;
  return spec;
}

TEST(SharedMemoryEquivalenceTest, NoHopThatSharesMemoryChangesABit) {
  ASSERT_OK_AND_ASSIGN(const auto sockets, SocketFolder::Create());
  for (const int32_t k : {2, 4}) {
    const LayerSpec spec = WideSpec(k);
    const Trace want = Train(*MakeEmbeddedLayerApi(1), spec);
    for (const int hops : {0, 1, 2, 3}) {
      GatewayServerOptions gateway = {.listen_address =
                                          sockets->AddressOf("g")};
      GatewayClientOptions client;
      if ((hops & 1) == 0) client.shared_memory_bytes = 0;
      if ((hops & 2) == 0) gateway.worker_shared_memory_bytes = 0;
      auto cluster = std::make_unique<LoopbackCluster>(2, gateway,
                                                       WorkerOptions(), client);
      GatewayClient& shared = cluster->client();
      EXPECT_EQ(shared.AwaitSharedMemory().ok(), (hops & 1) != 0);
      const auto api = MakeRemoteLayerApi(std::move(cluster));
      const Trace got = Train(*api, spec);
      const std::string what = absl::StrCat("k ", k, ", hops ", hops);
      ExpectSameBits(got.numbers, want.numbers, what);
      ExpectSameBits(got.final_parameters, want.final_parameters, what);
      EXPECT_EQ(shared.shared_memory_use().num_shared_calls,
                (hops & 1) != 0 ? 5 * kSteps : 0);
      EXPECT_EQ(shared.shared_memory_use().num_inline_calls, 0);
    }
  }
}

// Replicas split the batch, so an expert's gradient is summed in another order:
// docs/numerics.md bounds the difference.
TEST(ReplicaEquivalenceTest, ReplicasGiveTheResultOfOneExpert) {
  LayerSpec spec = NoisySpec(2);
  const Trace want = Train(*MakeEmbeddedLayerApi(1), spec);
  spec.ep_size = 2;
  const Trace got = Train(*MakeRemoteLayerApi(5), spec);
  ASSERT_EQ(got.numbers.size(), want.numbers.size());
  for (size_t i = 0; i < want.numbers.size(); ++i) {
    ASSERT_NEAR(got.numbers[i], want.numbers[i],
                1e-5 + 1e-4 * std::abs(want.numbers[i]))
        << "at " << i;
  }
  for (size_t i = 0; i < want.final_parameters.size(); ++i) {
    ASSERT_NEAR(got.final_parameters[i], want.final_parameters[i], 1e-4);
  }
}

}  // namespace
}  // namespace switchyard::testing
