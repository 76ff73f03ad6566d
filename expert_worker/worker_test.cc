#include "expert_worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "common/linalg/panel_products.h"
#include "common/model/parameters.h"
#include "expert_worker/store/stored_tensor.h"
#include "expert_worker/testing/reference_worker.h"
#include "expert_worker/worker_testing.h"

namespace switchyard {
namespace {

using testing::Doubles;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LoadAll;
using testing::RandomBackward;
using testing::RandomForward;
using testing::ReadAll;
using testing::ReferenceWorker;
using testing::SmallLayer;
using testing::StatusIs;
using testing::StepOf;
using testing::TestWorker;
using testing::ToDoubles;
using testing::TrainForward;

constexpr int64_t kNumTokens = 13;
constexpr MicrobatchKey kKey = {.step = 0, .microbatch = 2};
// Float32 sums of some tens of products of numbers about 1.
constexpr double kTolerance = 5e-5;

void ExpectNear(absl::Span<const float> got, const Doubles& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], kTolerance) << "element " << i;
  }
}

struct Kind {
  std::string name;
  LayerSpec spec;
};

constexpr GatedExpertSpec kGated = {.ffn_size = 9, .bias = true};
constexpr MlpExpertSpec kMlp = {.ffn_size = 7, .activation = Activation::kGelu};

LayerSpec WithBranch(LayerSpec spec, ExpertSpec branch) {
  spec.dense_branch = DenseBranchSpec{.expert = branch};
  return spec;
}

LayerSpec WeighingInputs(LayerSpec spec) {
  spec.gate.weight_application = WeightApplication::kInput;
  return spec;
}

// Weights of the routed experts and of the branch in different dtypes, biases
// in float32.
LayerSpec Narrow(LayerSpec spec) {
  for (const std::string name : {"gate_proj", "up_proj", "down_proj"}) {
    spec.parameter_dtypes.push_back(
        {absl::StrCat("experts.*.", name, ".weight"), DType::kBFloat16});
  }
  spec.parameter_dtypes.push_back({"dense.fc1.weight", DType::kFloat16});
  return spec;
}

class WorkerKindTest : public ::testing::TestWithParam<Kind>,
                       public TestWorker {
 protected:
  WorkerKindTest() : spec_(GetParam().spec), reference_(spec_) {}
  void SetUp() override { ASSERT_OK(worker.LoadExperts(LoadAll(spec_))); }

  const LayerSpec spec_;
  ReferenceWorker reference_;
};

TEST_P(WorkerKindTest, ForwardMatchesFloat64) {
  const ExpertForwardRequest request = RandomForward(spec_, kNumTokens, 1);
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult result,
                       worker.Forward(request));
  EXPECT_EQ(result.y.shape(), request.x.shape());
  ExpectNear(result.y.values(), reference_.Forward(request));
}

TEST_P(WorkerKindTest, ExactCombineReturnsEachRouteUnweighted) {
  ExpertForwardRequest request = RandomForward(spec_, kNumTokens, 1);
  request.exact_combine = true;
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult result,
                       worker.Forward(request));
  EXPECT_THAT(result.y.shape(),
              ElementsAre(request.route_tokens.size(), spec_.hidden_size));
  ExpectNear(result.y.values(), reference_.RouteOutputs(request));
}

TEST_P(WorkerKindTest, BackwardMatchesCentralDifferences) {
  const ExpertForwardRequest forward = TrainForward(spec_, kNumTokens, 1, kKey);
  const ExpertBackwardRequest backward =
      RandomBackward(spec_, kNumTokens, 1, kKey);
  ASSERT_OK(worker.Forward(forward));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult result,
                       worker.Backward(backward));
  const Doubles grad_y = ToDoubles(backward.grad_y.values());
  ExpectNear(result.grad_x.values(), reference_.GradX(forward, grad_y));

  Doubles expected_gradients;
  for (int32_t id = 0; id < spec_.num_hosted_experts(); ++id) {
    const size_t num_parameters =
        reference_.parameters()[static_cast<size_t>(id)].size();
    for (size_t p = 0; p < num_parameters; ++p) {
      const Doubles gradient = reference_.GradParameter(
          forward, grad_y, id, static_cast<int32_t>(p));
      expected_gradients.insert(expected_gradients.end(), gradient.begin(),
                                gradient.end());
    }
  }
  ExpectNear(ReadAll(worker, spec_, ParameterKind::kGradient),
             expected_gradients);
}

TEST_P(WorkerKindTest, RouteDotsAreDerivativesByTheWeights) {
  const ExpertForwardRequest forward = TrainForward(spec_, kNumTokens, 1, kKey);
  const ExpertBackwardRequest backward =
      RandomBackward(spec_, kNumTokens, 1, kKey);
  ASSERT_OK(worker.Forward(forward));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult result,
                       worker.Backward(backward));
  ExpectNear(
      result.route_dots,
      reference_.GradWeights(forward, ToDoubles(backward.grad_y.values())));
}

TEST_P(WorkerKindTest, ExactCombineBackwardReturnsEachRouteWeighted) {
  ExpertForwardRequest forward = TrainForward(spec_, kNumTokens, 1, kKey);
  const ExpertBackwardRequest backward =
      RandomBackward(spec_, kNumTokens, 1, kKey);
  ASSERT_OK(worker.Forward(forward));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult by_token,
                       worker.Backward(backward));
  forward.exact_combine = true;
  ASSERT_OK(worker.Forward(forward));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult by_route,
                       worker.Backward(backward));
  ASSERT_EQ(by_route.grad_x.rows(),
            static_cast<int64_t>(forward.route_tokens.size()));
  Tensor sums = Tensor::Zeros(forward.x.shape());
  for (size_t route = 0; route < forward.route_tokens.size(); ++route) {
    float* sum = sums.row(forward.route_tokens[route]);
    const float* row = by_route.grad_x.row(static_cast<int64_t>(route));
    for (int64_t j = 0; j < spec_.hidden_size; ++j) sum[j] += row[j];
  }
  EXPECT_THAT(by_token.grad_x.values(), ElementsAreArray(sums.values()));
  EXPECT_EQ(by_token.route_dots, by_route.route_dots);
}

TEST_P(WorkerKindTest, GradientsAccumulateOverMicrobatches) {
  std::vector<float> sums;
  for (uint32_t microbatch = 0; microbatch < 3; ++microbatch) {
    TestWorker alone;
    ASSERT_OK(alone.worker.LoadExperts(LoadAll(spec_)));
    const MicrobatchKey key = {.step = 0, .microbatch = microbatch};
    for (Worker* w : {&worker, &alone.worker}) {
      ASSERT_OK(w->Forward(TrainForward(spec_, kNumTokens, microbatch, key)));
      ASSERT_OK(
          w->Backward(RandomBackward(spec_, kNumTokens, microbatch, key)));
    }
    const auto gradients =
        ReadAll(alone.worker, spec_, ParameterKind::kGradient);
    sums.resize(gradients.size());
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += gradients[i];
  }
  ExpectNear(ReadAll(worker, spec_, ParameterKind::kGradient), ToDoubles(sums));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, WorkerKindTest,
    ::testing::Values(
        Kind{"Identity", SmallLayer(IdentityExpertSpec{})},
        Kind{"Linear", SmallLayer(LinearExpertSpec{})},
        Kind{"MlpRelu", SmallLayer(MlpExpertSpec{9, Activation::kRelu})},
        Kind{"MlpGelu", SmallLayer(MlpExpertSpec{9, Activation::kGelu})},
        Kind{"MlpGeluTanh",
             SmallLayer(MlpExpertSpec{9, Activation::kGeluTanh})},
        Kind{"Gated", SmallLayer(kGated)},
        Kind{"WiderBranch", WithBranch(SmallLayer(kMlp), kGated)},
        Kind{"NarrowerBranch", WithBranch(SmallLayer(kGated), kMlp)},
        Kind{"BranchAlike",
             WithBranch(SmallLayer(LinearExpertSpec{}), LinearExpertSpec{})},
        Kind{"IdentityBranch",
             WithBranch(SmallLayer(kMlp), IdentityExpertSpec{})},
        Kind{"WeighedInputs", WeighingInputs(SmallLayer(kGated))},
        Kind{"WeighedInputsAndBranch",
             WeighingInputs(WithBranch(SmallLayer(kGated), kMlp))},
        Kind{"NarrowDTypes", Narrow(WithBranch(SmallLayer(kGated), kMlp))}),
    [](const auto& instance) { return instance.param.name; });

// Everything that two steps of two microbatches say, and leave behind.
std::vector<float> TrainTwoSteps(const LayerSpec& spec, int num_threads) {
  TestWorker test({.num_compute_threads = num_threads});
  Worker& worker = test.worker;
  std::vector<float> numbers;
  const auto add = [&](absl::Span<const float> values) {
    numbers.insert(numbers.end(), values.begin(), values.end());
  };
  EXPECT_OK(worker.LoadExperts(LoadAll(spec)));
  for (uint64_t step = 0; step < 2; ++step) {
    for (uint32_t microbatch = 0; microbatch < 2; ++microbatch) {
      const MicrobatchKey key = {.step = step, .microbatch = microbatch};
      auto y = worker.Forward(TrainForward(spec, 300, step + microbatch, key));
      EXPECT_OK(y);
      if (y.ok()) add(y->y.values());
      auto grad = worker.Backward(RandomBackward(spec, 300, microbatch, key));
      EXPECT_OK(grad);
      if (grad.ok()) add(grad->grad_x.values());
      if (grad.ok()) add(grad->route_dots);
    }
    add(ReadAll(worker, spec, ParameterKind::kGradient));
    EXPECT_OK(worker.PrepareStep(StepOf(spec, step)));
    EXPECT_OK(worker.CommitStep(StepOf(spec, step), 0.01f));
  }
  add(ReadAll(worker, spec, ParameterKind::kValue));
  return numbers;
}

TEST(WorkerThreadsTest, DoNotShowInAnyBit) {
  LayerSpec spec = SmallLayer(MlpExpertSpec{65, Activation::kGelu});
  spec.hidden_size = 33;
  spec.num_experts = 16;
  spec.optimizer = AdamSpec{};
  const std::vector<float> expected = TrainTwoSteps(spec, 0);
  ASSERT_FALSE(expected.empty());
  for (const int num_threads : {1, 2, 4}) {
    EXPECT_TRUE(TrainTwoSteps(spec, num_threads) == expected)
        << num_threads << " threads";
  }
}

class WorkerTest : public ::testing::Test, public TestWorker {
 protected:
  const LayerSpec spec_ = SmallLayer();
};

TEST(WorkerThreadsTest, DoNotShowInABranchOrNarrowDTypesEither) {
  LayerSpec spec = Narrow(WeighingInputs(WithBranch(SmallLayer(kGated), kMlp)));
  spec.optimizer = AdamSpec{};
  const std::vector<float> expected = TrainTwoSteps(spec, 0);
  ASSERT_FALSE(expected.empty());
  for (const int num_threads : {1, 4}) {
    EXPECT_TRUE(TrainTwoSteps(spec, num_threads) == expected)
        << num_threads << " threads";
  }
}

// A step of plain SGD: each parameter less lr times its gradient, the branch's
// too, in float32 and rounded to its dtype.
TEST_F(WorkerTest, StepsMoveTheBranchAndKeepDTypes) {
  const LayerSpec spec = Narrow(WithBranch(SmallLayer(kGated), kMlp));
  ASSERT_OK(worker.LoadExperts(LoadAll(spec)));
  const std::vector<float> before =
      ReadAll(worker, spec, ParameterKind::kValue);
  ASSERT_OK(worker.Forward(TrainForward(spec, kNumTokens, 1, kKey)));
  ASSERT_OK(worker.Backward(RandomBackward(spec, kNumTokens, 1, kKey)));
  const std::vector<float> gradients =
      ReadAll(worker, spec, ParameterKind::kGradient);
  ASSERT_OK_AND_ASSIGN(const PrepareStepResult prepared,
                       worker.PrepareStep(StepOf(spec, 0)));
  EXPECT_EQ(prepared.experts.back().expert_id, spec.branch_id());
  EXPECT_GT(prepared.experts.back().squared_norm, 0.0);
  ASSERT_OK(worker.CommitStep(StepOf(spec, 0), 0.5f));
  const std::vector<float> after = ReadAll(worker, spec, ParameterKind::kValue);
  size_t first = 0;
  for (int32_t id = 0; id < spec.num_hosted_experts(); ++id) {
    for (const ParameterSpec& parameter : ExpertParameters(spec, id)) {
      const auto size = static_cast<size_t>(parameter.num_elements());
      std::vector<float> expected(size);
      for (size_t i = 0; i < size; ++i) {
        expected[i] = before[first + i] - 0.5f * gradients[first + i];
      }
      StoredTensor rounded(parameter.shape, parameter.dtype);
      rounded.Write(0, expected);
      rounded.Read(0, absl::MakeSpan(expected));
      EXPECT_THAT(absl::MakeSpan(after).subspan(first, size),
                  ElementsAreArray(expected))
          << parameter.name;
      first += size;
    }
  }
}

TEST_F(WorkerTest, TheBranchIsHostedByItsIdAlone) {
  const LayerSpec spec = WithBranch(SmallLayer(kGated), kMlp);
  ASSERT_OK(
      worker.LoadExperts({.spec = spec, .expert_ids = {5}, .generation = 1}));
  EXPECT_EQ(worker.GetStatus().layers[0].parameter_bytes,
            (PanelElements(7, 6) + 7 + PanelElements(6, 7) + 6) * 4 * 2);
  ExpertForwardRequest request = RandomForward(spec, 1, 1);
  EXPECT_THAT(
      worker.Forward(request),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not hosted")));
  request.route_experts = {5, 5, 6};
  EXPECT_THAT(worker.Forward(request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("route_experts[2]: got 6, expected 0 to 5")));
}

TEST_F(WorkerTest, HostsTheSameExpertsWhereverTheyAre) {
  TestWorker other;
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(other.worker.LoadExperts(
      {.spec = spec_, .expert_ids = {4, 2}, .generation = 1}));
  ExpertForwardRequest request = RandomForward(spec_, kNumTokens, 1);
  for (int32_t& expert : request.route_experts) expert = expert % 2 * 2 + 2;
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult here, worker.Forward(request));
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult there,
                       other.worker.Forward(request));
  EXPECT_THAT(there.y.values(), ElementsAreArray(here.y.values()));
}

TEST_F(WorkerTest, AnswersNoTokensWithNoRows) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult forward,
                       worker.Forward(TrainForward(spec_, 0, 1, kKey)));
  EXPECT_THAT(forward.y.shape(), ElementsAre(0, spec_.hidden_size));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult backward,
                       worker.Backward(RandomBackward(spec_, 0, 1, kKey)));
  EXPECT_THAT(backward.grad_x.shape(), ElementsAre(0, spec_.hidden_size));
  EXPECT_THAT(backward.route_dots, IsEmpty());
}

TEST_F(WorkerTest, TokensWithoutRoutesAreZero) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ExpertForwardRequest request;
  request.layer = spec_.name;
  request.x = testing::RandomTensor({3, spec_.hidden_size}, 1);
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult result,
                       worker.Forward(request));
  EXPECT_THAT(result.y.values(),
              ElementsAreArray(Tensor::Zeros({3, spec_.hidden_size}).values()));
}

TEST_F(WorkerTest, ALayerMayHaveNoExpertHere) {
  ASSERT_OK(
      worker.LoadExperts({.spec = spec_, .expert_ids = {}, .generation = 1}));
  ExpertForwardRequest request;
  request.layer = spec_.name;
  request.x = Tensor::Zeros({2, spec_.hidden_size});
  EXPECT_OK(worker.Forward(request));
  ASSERT_OK_AND_ASSIGN(const PrepareStepResult prepared,
                       worker.PrepareStep(StepOf(spec_, 0)));
  EXPECT_THAT(prepared.experts, IsEmpty());
  EXPECT_OK(worker.CommitStep(StepOf(spec_, 0), 0.1f));
}

TEST_F(WorkerTest, BackwardConsumesWhatForwardKept) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  const auto backward = RandomBackward(spec_, kNumTokens, 1, kKey);
  const auto nothing_kept =
      StatusIs(absl::StatusCode::kFailedPrecondition,
               "layer 'x': nothing is kept of step 0, microbatch 2 on worker "
               "w0");
  EXPECT_THAT(worker.Backward(backward), nothing_kept);
  ASSERT_OK(worker.Forward(RandomForward(spec_, kNumTokens, 1)));  // Eval.
  EXPECT_THAT(worker.Backward(backward), nothing_kept);
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  EXPECT_GT(worker.GetStatus().kept_activation_bytes, 0);
  EXPECT_OK(worker.Backward(backward));
  EXPECT_THAT(worker.Backward(backward), nothing_kept);
  EXPECT_EQ(worker.GetStatus().kept_activation_bytes, 0);
}

TEST_F(WorkerTest, ABackwardOfTheWrongShapeConsumesNothing) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  EXPECT_THAT(worker.Backward(RandomBackward(spec_, kNumTokens + 1, 1, kKey)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "grad_y.shape: got [14, 6], expected [13, 6]"));
  EXPECT_OK(worker.Backward(RandomBackward(spec_, kNumTokens, 1, kKey)));
}

TEST_F(WorkerTest, ARepeatedForwardReplacesWhatItKept) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  const int64_t once = worker.GetStatus().kept_activation_bytes;
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  EXPECT_EQ(worker.GetStatus().kept_activation_bytes, once);
  EXPECT_OK(worker.Backward(RandomBackward(spec_, kNumTokens, 1, kKey)));
  EXPECT_EQ(worker.GetStatus().kept_activation_bytes, 0);
}

TEST_F(WorkerTest, ForwardsOverTheBudgetAreRefusedUntilSomeIsFree) {
  // A batch takes 512 bytes and 72 for each of its 24 routes.
  TestWorker small({.max_kept_activation_bytes = 3000});
  Worker& w = small.worker;
  ASSERT_OK(w.LoadExperts(LoadAll(spec_)));
  const MicrobatchKey other = {.step = 0, .microbatch = 3};
  ASSERT_OK(w.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  EXPECT_EQ(w.GetStatus().kept_activation_bytes, 512 + 24 * 72);
  EXPECT_THAT(w.Forward(TrainForward(spec_, kNumTokens, 1, other)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "layer 'x': kept activations: got 2240 bytes, expected "
                       "at most 760 (2240 of 3000 bytes are in use)"));
  EXPECT_OK(w.Forward(RandomForward(spec_, kNumTokens, 1)));  // Eval.
  // A repeat takes the place of the first.
  EXPECT_OK(w.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  ASSERT_OK(w.Backward(RandomBackward(spec_, kNumTokens, 1, kKey)));
  EXPECT_OK(w.Forward(TrainForward(spec_, kNumTokens, 1, other)));
}

TEST_F(WorkerTest, WorkingMemoryIsBoundedToo) {
  constexpr int64_t kProductScratchBytes =
      kProductScratchFloats * static_cast<int64_t>(sizeof(float));
  TestWorker small({.num_compute_threads = 0,
                    .max_working_bytes = kProductScratchBytes + 1000});
  ASSERT_OK(small.worker.LoadExperts(LoadAll(spec_)));
  EXPECT_THAT(small.worker.Forward(RandomForward(spec_, kNumTokens, 1)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("layer 'x': working memory: got ")));
  EXPECT_OK(small.worker.Forward(RandomForward(spec_, 1, 1)));
}

TEST_F(WorkerTest, WhatIsKeptTooLongIsThrownAway) {
  TestWorker patient({.kept_activation_ttl = absl::Seconds(60)});
  Worker& w = patient.worker;
  ASSERT_OK(w.LoadExperts(LoadAll(spec_)));
  const MicrobatchKey later = {.step = 0, .microbatch = 3};
  ASSERT_OK(w.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  patient.clock.Advance(absl::Seconds(59));
  ASSERT_OK(w.Forward(TrainForward(spec_, kNumTokens, 1, later)));
  const int64_t both = w.GetStatus().kept_activation_bytes;
  patient.clock.Advance(absl::Seconds(1));
  ASSERT_OK(w.Forward(RandomForward(spec_, 1, 1)));
  EXPECT_EQ(w.GetStatus().kept_activation_bytes, both / 2);
  EXPECT_THAT(w.Backward(RandomBackward(spec_, kNumTokens, 1, kKey)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("nothing is kept")));
  EXPECT_OK(w.Backward(RandomBackward(spec_, kNumTokens, 1, later)));
}

TEST_F(WorkerTest, WritesOfParametersAreSeenByReadsAndForwards) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.WriteExperts(
      {.layer = "x",
       .slices = {{"experts.3.weight", {6, 6}, 0, std::vector<float>(36, 0.0f)},
                  {"experts.3.bias", {6}, 4, {8.0f, 9.0f}},
                  {"experts.3.bias", {6}, 0, {1, 2, 3, 4}}}}));
  ASSERT_OK_AND_ASSIGN(
      const std::vector<ParameterSlice> slices,
      worker.ReadExperts(
          {.layer = "x",
           .ranges = {{"experts.3.bias", 3, 2}, {"experts.3.bias", 6, 0}}}));
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0].name, "experts.3.bias");
  EXPECT_THAT(slices[0].shape, ElementsAre(6));
  EXPECT_EQ(slices[0].offset, 3);
  EXPECT_THAT(slices[0].values, ElementsAre(4, 8));
  EXPECT_THAT(slices[1].values, IsEmpty());

  ExpertForwardRequest request;
  request.layer = "x";
  request.route_tokens = {0};
  request.route_experts = {3};
  request.route_weights = {0.5f};
  request.x = testing::RandomTensor({1, 6}, 1);
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult result,
                       worker.Forward(request));
  EXPECT_THAT(result.y.values(), ElementsAre(0.5f, 1, 1.5f, 2, 4, 4.5f));
}

TEST_F(WorkerTest, WritesAllSlicesOrNone) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  const auto before = ReadAll(worker, spec_, ParameterKind::kValue);
  EXPECT_THAT(
      worker.WriteExperts({.layer = "x",
                           .slices = {{"experts.3.bias", {6}, 0, {1}},
                                      {"experts.3.bias", {6}, 6, {1}}}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bias")));
  EXPECT_EQ(ReadAll(worker, spec_, ParameterKind::kValue), before);
}

TEST_F(WorkerTest, ReportsWhatItHosts) {
  LayerSpec second = SmallLayer(MlpExpertSpec{9, Activation::kRelu});
  second.name = "a";
  second.optimizer = AdamSpec{};
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.LoadExperts(
      {.spec = second, .expert_ids = {3, 1}, .generation = 1}));
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  ASSERT_OK(worker.CommitStep(StepOf(spec_, 0), 0.1f));
  const WorkerReport report = worker.GetStatus();
  EXPECT_EQ(report.worker_id, "w0");
  EXPECT_EQ(report.max_kept_activation_bytes, int64_t{1} << 30);
  ASSERT_EQ(report.layers.size(), 2u);
  EXPECT_EQ(report.layers[0].layer, "a");
  EXPECT_THAT(report.layers[0].expert_ids, ElementsAre(1, 3));
  EXPECT_EQ(report.layers[0].step, 0u);
  EXPECT_EQ(report.layers[0].parameter_bytes,
            2 * (PanelElements(9, 6) + 9 + PanelElements(6, 9) + 6) * 4 * 4);
  EXPECT_EQ(report.layers[1].layer, "x");
  EXPECT_EQ(report.layers[1].step, 1u);
}

TEST_F(WorkerTest, ForgetsALayerWithAllThatWasKeptForIt) {
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.Forward(TrainForward(spec_, kNumTokens, 1, kKey)));
  EXPECT_OK(worker.UnloadExperts("x"));
  EXPECT_OK(worker.UnloadExperts("x"));
  EXPECT_EQ(worker.GetStatus().kept_activation_bytes, 0);
  EXPECT_THAT(worker.GetStatus().layers, IsEmpty());
  EXPECT_THAT(worker.Forward(RandomForward(spec_, 1, 1)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "layer 'x' not hosted by worker w0"));
  // A layer of the same name starts anew.
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  EXPECT_THAT(worker.Backward(RandomBackward(spec_, kNumTokens, 1, kKey)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("nothing is kept")));
}

TEST_F(WorkerTest, UnloadAllForgetsEveryLayer) {
  LayerSpec second = spec_;
  second.name = "y";
  ASSERT_OK(worker.LoadExperts(LoadAll(spec_)));
  ASSERT_OK(worker.LoadExperts(LoadAll(second)));
  worker.UnloadAll();
  EXPECT_THAT(worker.GetStatus().layers, IsEmpty());
  EXPECT_OK(worker.LoadExperts(LoadAll(second)));
}

}  // namespace
}  // namespace switchyard
