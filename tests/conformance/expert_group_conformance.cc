#include "tests/conformance/expert_group_conformance.h"

#include <cmath>
#include <limits>
#include <stop_token>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_testing.h"
#include "gateway/fan_out.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr int64_t kHidden = 3;

absl::Time Deadline() { return absl::Now() + absl::Seconds(30); }

// Starts one asynchronous call and waits for its answer.
template <typename Result, typename Start>
Result Call(Start start) {
  FanOut<Result> fan_out(1);
  start(fan_out.Done(0));
  return std::move(fan_out.Wait().front());
}

LayerSpec Spec() {
  LayerSpec spec;
  spec.name = "moe";
  spec.hidden_size = kHidden;
  spec.num_experts = 4;
  spec.expert = MlpExpertSpec{.ffn_size = 5, .activation = Activation::kGelu};
  spec.optimizer = SgdSpec{.momentum = 0.5f};
  spec.seed = 3;
  return spec;
}

Tensor GradY() { return RandomTensor({3, kHidden}, 9); }

}  // namespace

absl::Status ExpertGroupConformanceTest::Load(std::vector<int32_t> expert_ids) {
  const LoadExpertsRequest request = {
      .spec = Spec(), .expert_ids = std::move(expert_ids), .generation = 1};
  return Call<absl::Status>(
      [&](auto done) { group().LoadExperts(request, Deadline(), done); });
}

absl::StatusOr<ExpertForwardResult> ExpertGroupConformanceTest::Forward(
    ExpertForwardRequest request) {
  return Call<absl::StatusOr<ExpertForwardResult>>(
      [&](auto done) { group().Forward(request, Deadline(), done); });
}

absl::StatusOr<ExpertBackwardResult> ExpertGroupConformanceTest::Backward(
    MicrobatchKey key, uint64_t generation) {
  const ExpertBackwardRequest request = {
      .layer = "moe", .generation = generation, .key = key, .grad_y = GradY()};
  return Call<absl::StatusOr<ExpertBackwardResult>>(
      [&](auto done) { group().Backward(request, Deadline(), done); });
}

absl::StatusOr<PrepareStepResult> ExpertGroupConformanceTest::Prepare(
    uint64_t step, uint64_t generation) {
  const StepKey key = {"moe", generation, step};
  return Call<absl::StatusOr<PrepareStepResult>>(
      [&](auto done) { group().PrepareStep(key, Deadline(), done); });
}

absl::Status ExpertGroupConformanceTest::Commit(uint64_t step,
                                                uint64_t generation) {
  const StepKey key = {"moe", generation, step};
  return Call<absl::Status>(
      [&](auto done) { group().CommitStep(key, 0.5f, Deadline(), done); });
}

absl::Status ExpertGroupConformanceTest::Abort(uint64_t step,
                                               uint64_t generation) {
  const StepKey key = {"moe", generation, step};
  return Call<absl::Status>(
      [&](auto done) { group().AbortStep(key, Deadline(), done); });
}

absl::StatusOr<std::vector<float>> ExpertGroupConformanceTest::ReadWhole(
    const std::string& name, ParameterKind kind) {
  const ParameterRange range = {name, 0, 5 * kHidden};
  const ReadExpertsRequest request = {
      .layer = "moe", .ranges = {range}, .kind = kind};
  auto slices = Call<absl::StatusOr<std::vector<ParameterSlice>>>(
      [&](auto done) { group().ReadExperts(request, Deadline(), done); });
  if (!slices.ok()) return slices.status();
  return std::move(slices->front().values);
}

ExpertForwardRequest ExpertGroupConformanceTest::ThreeTokens() {
  return {.layer = "moe",
          .generation = 1,
          .keep = MicrobatchKey{0, 0},
          .route_tokens = {0, 0, 1, 2},
          .route_experts = {0, 2, 2, 0},
          .route_weights = {0.25f, 0.75f, 1.0f, 0.5f},
          .x = RandomTensor({3, kHidden}, 8)};
}

TEST_P(ExpertGroupConformanceTest, SumsWeightedRoutesPerToken) {
  ASSERT_OK(Load({0, 2}));
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult summed,
                       Forward(ThreeTokens()));
  EXPECT_EQ(summed.y.shape(), (Shape{3, kHidden}));
  ExpertForwardRequest exact = ThreeTokens();
  exact.exact_combine = true;
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult routes,
                       Forward(std::move(exact)));
  ASSERT_EQ(routes.y.shape(), (Shape{4, kHidden}));
  const ExpertForwardRequest request = ThreeTokens();
  Tensor want = Tensor::Zeros({3, kHidden});
  for (int64_t r = 0; r < 4; ++r) {
    const size_t i = static_cast<size_t>(r);
    for (int64_t j = 0; j < kHidden; ++j) {
      want.row(request.route_tokens[i])[j] +=
          request.route_weights[i] * routes.y.row(r)[j];
    }
  }
  EXPECT_THAT(summed.y.values(), ::testing::ElementsAreArray(want.values()));
}

TEST_P(ExpertGroupConformanceTest, BackwardNeedsTheForwardsKeyOnce) {
  ASSERT_OK(Load({0, 2}));
  EXPECT_THAT(Backward({0, 0}), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("moe")));
  ASSERT_OK(Forward(ThreeTokens()));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult result, Backward({0, 0}));
  EXPECT_EQ(result.grad_x.shape(), (Shape{3, kHidden}));
  ASSERT_EQ(result.route_dots.size(), 4u);
  EXPECT_THAT(Backward({0, 0}), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("moe")));
}

TEST_P(ExpertGroupConformanceTest, RouteDotsAreTheOutputsAgainstTheGradient) {
  ASSERT_OK(Load({0, 2}));
  ExpertForwardRequest exact = ThreeTokens();
  exact.exact_combine = true;
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult forward,
                       Forward(std::move(exact)));
  ASSERT_OK_AND_ASSIGN(const ExpertBackwardResult backward, Backward({0, 0}));
  const Tensor grad_y = GradY();
  const std::vector<int32_t> tokens = ThreeTokens().route_tokens;
  for (int64_t r = 0; r < 4; ++r) {
    double dot = 0;
    for (int64_t j = 0; j < kHidden; ++j) {
      dot += double{forward.y.row(r)[j]} *
             grad_y.row(tokens[static_cast<size_t>(r)])[j];
    }
    EXPECT_NEAR(backward.route_dots[static_cast<size_t>(r)], dot, 1e-6);
  }
}

TEST_P(ExpertGroupConformanceTest, AStepPreparesThenCommitsOnce) {
  ASSERT_OK(Load({0, 1, 2}));
  ASSERT_OK_AND_ASSIGN(const auto before, ReadWhole("experts.0.fc1.weight"));
  ASSERT_OK(Forward(ThreeTokens()));
  ASSERT_OK(Backward({0, 0}));
  EXPECT_THAT(Commit(0), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("repare")));
  ASSERT_OK_AND_ASSIGN(const PrepareStepResult prepared, Prepare(0));
  ASSERT_EQ(prepared.experts.size(), 3u);
  EXPECT_GT(prepared.experts[0].squared_norm, 0);
  EXPECT_EQ(prepared.experts[1].squared_norm, 0) << "expert 1 saw no token";
  ASSERT_OK(Prepare(0));
  ASSERT_OK(Commit(0));
  ASSERT_OK_AND_ASSIGN(const auto once, ReadWhole("experts.0.fc1.weight"));
  EXPECT_NE(once, before);
  ASSERT_OK(Commit(0)) << "a repeat does nothing";
  ASSERT_OK_AND_ASSIGN(const auto twice, ReadWhole("experts.0.fc1.weight"));
  EXPECT_EQ(twice, once);
  EXPECT_THAT(Prepare(0), StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr("step")));
}

TEST_P(ExpertGroupConformanceTest, AbortForgetsGradientsAndActivations) {
  ASSERT_OK(Load({0, 2}));
  ASSERT_OK(Forward(ThreeTokens()));
  ASSERT_OK(Backward({0, 0}));
  ASSERT_OK(Forward(ThreeTokens()));
  ASSERT_OK(Abort(0));
  ASSERT_OK(Abort(0));
  ASSERT_OK_AND_ASSIGN(
      const auto gradient,
      ReadWhole("experts.0.fc1.weight", ParameterKind::kGradient));
  EXPECT_THAT(gradient, Each(0.0f));
  EXPECT_THAT(Backward({0, 0}), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("moe")));
}

TEST_P(ExpertGroupConformanceTest, RefusesAnOlderGeneration) {
  ASSERT_OK(Load({0, 2}));
  ASSERT_OK(Prepare(0, /*generation=*/5));
  EXPECT_THAT(Commit(0, /*generation=*/4),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("generation")));
  EXPECT_THAT(Forward(ThreeTokens()),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("generation")));
  EXPECT_OK(Commit(0, /*generation=*/5));
}

TEST_P(ExpertGroupConformanceTest, WritesAllSlicesOrNone) {
  ASSERT_OK(Load({0, 2}));
  ASSERT_OK_AND_ASSIGN(const auto before, ReadWhole("experts.0.fc1.weight"));
  const ParameterSlice good = {
      "experts.0.fc1.weight", {5, kHidden}, 2, {1.0f, 2.0f}};
  const ParameterSlice bad = {"experts.2.fc1.weight", {5, 4}, 0, {1.0f}};
  const auto write = [&](std::vector<ParameterSlice> slices) {
    const WriteExpertsRequest request = {.layer = "moe",
                                         .slices = std::move(slices)};
    return Call<absl::Status>(
        [&](auto done) { group().WriteExperts(request, Deadline(), done); });
  };
  EXPECT_THAT(write({good, bad}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shape")));
  ASSERT_OK_AND_ASSIGN(const auto after, ReadWhole("experts.0.fc1.weight"));
  EXPECT_EQ(after, before);
  ASSERT_OK(write({good}));
  ASSERT_OK_AND_ASSIGN(const auto written, ReadWhole("experts.0.fc1.weight"));
  EXPECT_EQ(written[2], 1.0f);
  EXPECT_EQ(written[3], 2.0f);
  EXPECT_EQ(written[4], before[4]);
}

TEST_P(ExpertGroupConformanceTest, ReadsNoCheckpointUnlessItMay) {
  ASSERT_OK(Load({0}));
  const ImportExpertsRequest request = {
      .layer = "moe", .directory = "/", .fingerprint = 1, .expert_ids = {0}};
  EXPECT_THAT(Call<absl::Status>([&](auto done) {
                group().ImportExperts(request, Deadline(), done);
              }),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("--import-root is not set")));
}

TEST_P(ExpertGroupConformanceTest, NamesAnExpertThatItDoesNotHost) {
  ASSERT_OK(Load({0, 1}));
  EXPECT_THAT(Forward(ThreeTokens()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("expert 2 of layer 'moe' not hosted")));
  EXPECT_THAT(ReadWhole("experts.3.fc1.weight"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("expert 3 of layer 'moe' not hosted")));
  EXPECT_THAT(Load({2}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("moe")));
}

TEST_P(ExpertGroupConformanceTest, AnUnknownLayerIsNoCrash) {
  EXPECT_FALSE(Forward(ThreeTokens()).ok());
  EXPECT_FALSE(Backward({0, 0}).ok());
  EXPECT_FALSE(Prepare(0).ok());
  const std::string layer = "moe";
  EXPECT_OK(Call<absl::Status>(
      [&](auto done) { group().UnloadExperts(layer, Deadline(), done); }));
}

TEST_P(ExpertGroupConformanceTest, RefusesRoutesThatDoNotFit) {
  ASSERT_OK(Load({0, 2}));
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  ExpertForwardRequest request = ThreeTokens();
  request.route_weights.pop_back();
  EXPECT_THAT(Forward(std::move(request)),
              StatusIs(kInvalid, HasSubstr("route_weights")));
  request = ThreeTokens();
  request.route_tokens[3] = 3;
  EXPECT_THAT(Forward(std::move(request)),
              StatusIs(kInvalid, HasSubstr("route_tokens")));
  request = ThreeTokens();
  request.route_tokens[0] = -1;
  EXPECT_THAT(Forward(std::move(request)),
              StatusIs(kInvalid, HasSubstr("route_tokens")));
  request = ThreeTokens();
  request.x = RandomTensor({3, kHidden + 1}, 1);
  EXPECT_THAT(Forward(std::move(request)), StatusIs(kInvalid, HasSubstr("x")));
}

TEST_P(ExpertGroupConformanceTest, KeptActivationsAreBounded) {
  ASSERT_OK(Load({0, 2}));
  ExpertForwardRequest request = ThreeTokens();
  const int64_t num_tokens = kConformanceKeptBytes / 16;
  request.x = RandomTensor({num_tokens, kHidden}, 1);
  request.route_tokens.clear();
  request.route_experts.assign(static_cast<size_t>(num_tokens), 0);
  request.route_weights.assign(static_cast<size_t>(num_tokens), 1.0f);
  for (int32_t t = 0; t < num_tokens; ++t) request.route_tokens.push_back(t);
  EXPECT_THAT(
      Forward(std::move(request)),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("bytes")));
  EXPECT_OK(Forward(ThreeTokens()));
}

TEST_P(ExpertGroupConformanceTest, ASpentDeadlineIsAnError) {
  ASSERT_OK(Load({0, 2}));
  const ExpertForwardRequest request = ThreeTokens();
  const auto result = Call<absl::StatusOr<ExpertForwardResult>>([&](auto done) {
    group().Forward(request, absl::Now() - absl::Seconds(1), done);
  });
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_P(ExpertGroupConformanceTest, ACancelledCallSaysSo) {
  ASSERT_OK(Load({0, 2}));
  std::stop_source source;
  source.request_stop();
  const ExpertForwardRequest request = ThreeTokens();
  const auto result = Call<absl::StatusOr<ExpertForwardResult>>([&](auto done) {
    group().Forward(request, CallContext(Deadline(), source.get_token()), done);
  });
  // UNAVAILABLE would say that the worker is lost.
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(Backward({0, 0}).ok()) << "it has kept something";
}

TEST_P(ExpertGroupConformanceTest, ADroppedMicrobatchHasNoBackward) {
  ASSERT_OK(Load({0, 2}));
  ASSERT_OK(Forward(ThreeTokens()));
  const std::string layer = "moe";
  EXPECT_OK(Call<absl::Status>([&](auto done) {
    group().DropMicrobatch(layer, {0, 0}, Deadline(), done);
  }));
  EXPECT_THAT(Backward({0, 0}),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
}

// Non-finite numbers travel as they are.
TEST_P(ExpertGroupConformanceTest, NonFiniteNumbersPassThrough) {
  ASSERT_OK(Load({0, 2}));
  ExpertForwardRequest request = ThreeTokens();
  request.x.row(1)[0] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK_AND_ASSIGN(const ExpertForwardResult result,
                       Forward(std::move(request)));
  EXPECT_TRUE(std::isnan(result.y.row(1)[0]));
  EXPECT_TRUE(std::isfinite(result.y.row(0)[0]));
}

}  // namespace switchyard::testing
