// What the training calls promise, through a gateway with its workers in the
// same process.
#include <cmath>
#include <string>
#include <vector>

#include "common/base/status_testing.h"
#include "tests/testing/layer_api.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::HasSubstr;

constexpr absl::StatusCode kFailedPrecondition =
    absl::StatusCode::kFailedPrecondition;

class TrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spec_.name = "moe";
    spec_.hidden_size = 4;
    spec_.num_experts = 4;
    spec_.expert = LinearExpertSpec{};
    spec_.optimizer = SgdSpec{};
    spec_.capacity.drop_tokens = false;
    ASSERT_OK(api_->CreateLayer(spec_));
  }

  absl::StatusOr<ForwardResult> Forward(
      uint32_t stream, std::optional<uint32_t> microbatch = std::nullopt) {
    ForwardRequest request;
    request.layer = "moe";
    request.mode = Mode::kTrain;
    request.microbatch = microbatch;
    request.x = RandomTensor({8, 4}, stream);
    return api_->Forward(request);
  }
  absl::StatusOr<BackwardResult> Backward(const ForwardResult& forward,
                                          float scale = 1.0f) {
    BackwardRequest request;
    request.layer = "moe";
    request.step = forward.step;
    request.microbatch = forward.microbatch;
    request.grad_y = RandomTensor({8, 4}, 77);
    for (float& v : request.grad_y.values()) v *= scale;
    return api_->Backward(request);
  }
  absl::StatusOr<StepResult> Step(uint64_t step, bool discard = false) {
    return api_->Step({.layer = "moe",
                       .step = step,
                       .learning_rate = 0.1f,
                       .discard = discard});
  }

  LayerSpec spec_;
  std::unique_ptr<LayerApi> api_ = MakeEmbeddedLayerApi(2);
};

TEST_F(TrainingTest, AStepMovesParametersAgainstTheSummedGradients) {
  ASSERT_OK_AND_ASSIGN(const auto before, ReadAll(*api_, "moe"));
  for (const uint32_t stream : {1u, 2u}) {
    ASSERT_OK_AND_ASSIGN(const ForwardResult forward, Forward(stream));
    EXPECT_EQ(forward.step, 0u);
    EXPECT_EQ(forward.microbatch, stream - 1);
    ASSERT_OK(Backward(forward));
  }
  ASSERT_OK_AND_ASSIGN(const auto gradients,
                       ReadAll(*api_, "moe", ParameterKind::kGradient));
  ASSERT_OK_AND_ASSIGN(const StepResult stepped, Step(0));
  EXPECT_EQ(stepped.step, 1u);
  ASSERT_OK_AND_ASSIGN(const auto after, ReadAll(*api_, "moe"));
  double squared_norm = 0;
  for (const auto& [name, values] : before) {
    for (size_t i = 0; i < values.size(); ++i) {
      const float g = gradients.at(name)[i];
      squared_norm += double{g} * g;
      EXPECT_EQ(after.at(name)[i], values[i] - 0.1f * g) << name;
    }
  }
  EXPECT_NEAR(stepped.grad_norm, std::sqrt(squared_norm), 1e-6);
  ASSERT_OK_AND_ASSIGN(const auto cleared,
                       ReadAll(*api_, "moe", ParameterKind::kGradient));
  for (const auto& [name, values] : cleared) {
    for (const float g : values) EXPECT_EQ(g, 0.0f) << name;
  }
}

TEST_F(TrainingTest, ARepeatedStepChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward, Forward(1));
  ASSERT_OK(Backward(forward));
  ASSERT_OK_AND_ASSIGN(const StepResult first, Step(0));
  ASSERT_OK_AND_ASSIGN(const auto once, ReadAll(*api_, "moe"));
  ASSERT_OK_AND_ASSIGN(const StepResult second, Step(0));
  EXPECT_EQ(second.step, first.step);
  EXPECT_EQ(second.grad_norm, first.grad_norm);
  ASSERT_OK_AND_ASSIGN(const auto twice, ReadAll(*api_, "moe"));
  EXPECT_EQ(once, twice);
}

TEST_F(TrainingTest, RefusesCallsOutOfOrder) {
  EXPECT_THAT(Step(0), StatusIs(kFailedPrecondition,
                                HasSubstr("no microbatch was sent backward")));
  EXPECT_THAT(
      Backward(ForwardResult{}),
      StatusIs(kFailedPrecondition,
               HasSubstr("microbatch: got 0, expected an open microbatch")));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward, Forward(1));
  EXPECT_THAT(Step(0),
              StatusIs(kFailedPrecondition, HasSubstr("microbatch 0 is open")));
  EXPECT_THAT(Forward(1, 0),
              StatusIs(kFailedPrecondition, HasSubstr("microbatch: got 0")));
  TrainStepRequest train_step;
  train_step.layer = "moe";
  train_step.x = RandomTensor({2, 4}, 1);
  train_step.head = CrossEntropyHead{{0, 1}};
  EXPECT_THAT(api_->TrainStep(train_step),
              StatusIs(kFailedPrecondition, HasSubstr("microbatches")));
  ASSERT_OK(Backward(forward));
  EXPECT_THAT(Backward(forward), StatusIs(kFailedPrecondition,
                                          HasSubstr("already sent backward")));
  EXPECT_THAT(Step(5), StatusIs(kFailedPrecondition,
                                HasSubstr("step: got 5, expected 0")));
  EXPECT_OK(Step(0));
}

TEST_F(TrainingTest, ABadGradientShapeLeavesTheMicrobatchOpen) {
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward, Forward(1));
  BackwardRequest request;
  request.layer = "moe";
  request.grad_y = RandomTensor({7, 4}, 1);
  EXPECT_THAT(api_->Backward(request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("grad_y.shape: got [7, 4], expected [8, 4]")));
  EXPECT_OK(Backward(forward));
}

TEST_F(TrainingTest, ANonFiniteGradientRefusesTheStepUntilItIsDiscarded) {
  ASSERT_OK_AND_ASSIGN(const auto before, ReadAll(*api_, "moe"));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward, Forward(1));
  ASSERT_OK(Backward(forward, INFINITY));
  EXPECT_THAT(Step(0),
              StatusIs(kFailedPrecondition, HasSubstr("is not finite")));
  ASSERT_OK(Step(0, /*discard=*/true));
  ASSERT_OK_AND_ASSIGN(const auto after, ReadAll(*api_, "moe"));
  EXPECT_EQ(before, after);
  ASSERT_OK_AND_ASSIGN(const ForwardResult again, Forward(2));
  EXPECT_EQ(again.step, 0u);
  ASSERT_OK(Backward(again));
  EXPECT_OK(Step(0));
}

TEST_F(TrainingTest, EvalForwardKeepsNothingAndDoesNotDependOnCompany) {
  ForwardRequest request;
  request.layer = "moe";
  request.mode = Mode::kEval;
  request.x = RandomTensor({64, 4}, 1);
  ASSERT_OK_AND_ASSIGN(const ForwardResult together, api_->Forward(request));
  for (const int64_t token : {0, 31, 63}) {
    request.x = Tensor::FromSpan(
        {1, 4}, absl::MakeConstSpan(RandomTensor({64, 4}, 1).row(token), 4));
    ASSERT_OK_AND_ASSIGN(const ForwardResult alone, api_->Forward(request));
    for (int64_t j = 0; j < 4; ++j) {
      EXPECT_EQ(alone.y.data()[j], together.y.row(token)[j]);
    }
  }
  ASSERT_OK_AND_ASSIGN(const LayerStatus status, api_->GetLayer("moe"));
  EXPECT_EQ(status.num_open_microbatches, 0);
}

TEST_F(TrainingTest, NoTokensGiveAnEmptyAnswer) {
  ForwardRequest request;
  request.layer = "moe";
  request.x = Tensor::Zeros({0, 4});
  for (const Mode mode : {Mode::kEval, Mode::kTrain}) {
    request.mode = mode;
    ASSERT_OK_AND_ASSIGN(const ForwardResult result, api_->Forward(request));
    EXPECT_EQ(result.y.shape(), (Shape{0, 4}));
    EXPECT_EQ(result.aux_loss, 0.0f);
    EXPECT_THAT(result.expert_counts, ::testing::Each(0));
  }
  BackwardRequest backward;
  backward.layer = "moe";
  backward.grad_y = Tensor::Zeros({0, 4});
  EXPECT_OK(api_->Backward(backward));
  EXPECT_OK(Step(0));
}

// DeepSeek-V3: b_i += rate * sign(mean(c) - c_i) over the whole step.
TEST_F(TrainingTest, TheCorrectionBiasFollowsTheStepsCounts) {
  LayerSpec spec;
  spec.name = "v3";
  spec.hidden_size = 4;
  spec.num_experts = 4;
  spec.expert = LinearExpertSpec{};
  spec.gate.k = 2;
  spec.gate.score_function = ScoreFunction::kSigmoid;
  spec.gate.score_correction_bias = true;
  spec.gate.bias_update_rate = 0.25f;
  spec.capacity.drop_tokens = false;
  ASSERT_OK(api_->CreateLayer(spec));
  std::vector<int64_t> counts(4, 0);
  for (int microbatch = 0; microbatch < 2; ++microbatch) {
    ForwardRequest forward;
    forward.layer = "v3";
    forward.mode = Mode::kTrain;
    forward.x = RandomTensor({9, 4}, static_cast<uint64_t>(microbatch));
    ASSERT_OK_AND_ASSIGN(const ForwardResult result, api_->Forward(forward));
    for (size_t e = 0; e < 4; ++e) counts[e] += result.expert_counts[e];
    BackwardRequest backward;
    backward.layer = "v3";
    backward.microbatch = result.microbatch;
    backward.grad_y = RandomTensor({9, 4}, 7);
    ASSERT_OK(api_->Backward(backward));
  }
  ASSERT_OK(api_->Step({.layer = "v3", .step = 0, .learning_rate = 0.1f}));
  ASSERT_OK_AND_ASSIGN(const auto values, ReadAll(*api_, "v3"));
  const std::vector<float>& bias = values.at("gate.score_correction_bias");
  for (size_t e = 0; e < 4; ++e) {
    // 36 routes over 4 experts.
    const float expected = counts[e] < 9 ? 0.25f : counts[e] > 9 ? -0.25f : 0;
    EXPECT_EQ(bias[e], expected) << counts[e];
  }
  // A step that is thrown away moves nothing.
  ForwardRequest forward;
  forward.layer = "v3";
  forward.mode = Mode::kTrain;
  forward.x = RandomTensor({9, 4}, 3);
  ASSERT_OK(api_->Forward(forward));
  ASSERT_OK(api_->Step({.layer = "v3", .step = 1, .discard = true}));
  ASSERT_OK_AND_ASSIGN(const auto after, ReadAll(*api_, "v3"));
  EXPECT_EQ(after.at("gate.score_correction_bias"), bias);
}

// The second microbatch's loss looks at the first's counts too.
TEST_F(TrainingTest, GlobalBatchBalancingSpansTheStep) {
  LayerSpec spec;
  spec.name = "global";
  spec.hidden_size = 4;
  spec.num_experts = 4;
  spec.expert = LinearExpertSpec{};
  spec.gate.aux_losses = {{.kind = AuxLossKind::kGlobalBatch},
                          {.kind = AuxLossKind::kSwitch}};
  spec.capacity.drop_tokens = false;
  ASSERT_OK(api_->CreateLayer(spec));
  ForwardRequest forward;
  forward.layer = "global";
  forward.mode = Mode::kTrain;
  forward.x = RandomTensor({9, 4}, 1);
  ASSERT_OK_AND_ASSIGN(const ForwardResult first, api_->Forward(forward));
  EXPECT_FLOAT_EQ(first.aux_loss_terms[0], first.aux_loss_terms[1]);
  forward.x = RandomTensor({9, 4}, 2);
  ASSERT_OK_AND_ASSIGN(const ForwardResult second, api_->Forward(forward));
  EXPECT_NE(second.aux_loss_terms[0], second.aux_loss_terms[1]);
  EXPECT_FLOAT_EQ(second.aux_loss,
                  second.aux_loss_terms[0] + second.aux_loss_terms[1]);
}

// Mixtral's jitter reaches the experts: with the same noise an identity-like
// layer answers another y than without.
TEST_F(TrainingTest, JitterMayReachTheExperts) {
  LayerSpec spec;
  spec.name = "jitter";
  spec.hidden_size = 4;
  spec.num_experts = 2;
  spec.expert = LinearExpertSpec{};
  spec.gate.noise_policy = NoisePolicy::kJitter;
  spec.gate.jitter_epsilon = 0.5f;
  spec.gate.normalization = WeightNormalization::kNone;
  spec.capacity.drop_tokens = false;
  ASSERT_OK(api_->CreateLayer(spec));
  ForwardRequest forward;
  forward.layer = "jitter";
  forward.mode = Mode::kTrain;
  forward.x = RandomTensor({6, 4}, 1);
  ASSERT_OK_AND_ASSIGN(const ForwardResult router_only, api_->Forward(forward));
  ASSERT_OK(api_->DeleteLayer("jitter"));
  spec.gate.jitter_expert_input = true;
  ASSERT_OK(api_->CreateLayer(spec));
  ASSERT_OK_AND_ASSIGN(const ForwardResult experts_too, api_->Forward(forward));
  EXPECT_EQ(router_only.expert_counts, experts_too.expert_counts);
  EXPECT_NE(router_only.y.data()[0], experts_too.y.data()[0]);
}

TEST_F(TrainingTest, LoadCountsWhatCameIn) {
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward, Forward(1));
  ForwardRequest eval;
  eval.layer = "moe";
  eval.x = RandomTensor({5, 4}, 2);
  ASSERT_OK_AND_ASSIGN(const ForwardResult evaluated, api_->Forward(eval));
  ASSERT_OK_AND_ASSIGN(const auto loads, api_->GetLoad("moe"));
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(loads[0].tokens, 13);
  EXPECT_THAT(loads[0].train_expert_tokens,
              ::testing::ElementsAreArray(forward.expert_counts));
  int64_t routes = 0;
  for (const WorkerLoad& worker : loads[0].workers) routes += worker.routes;
  EXPECT_EQ(routes, 13);
  EXPECT_EQ(loads[0].dropped_routes, 0);
}

}  // namespace
}  // namespace switchyard::testing
