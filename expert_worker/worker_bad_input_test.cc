// Nothing that comes from outside may end the process or be half done: each
// bad request gets a status that names the field, and changes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status_testing.h"
#include "expert_worker/worker_testing.h"

namespace switchyard {
namespace {

using ::testing::HasSubstr;
using testing::LoadAll;
using testing::SmallLayer;
using testing::StatusIs;
using testing::StepOf;
using testing::TestWorker;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

class WorkerBadInputTest : public ::testing::Test, public TestWorker {
 protected:
  // Expert 4 is not here.
  void SetUp() override {
    ASSERT_OK(worker.LoadExperts(
        {.spec = spec_, .expert_ids = {0, 1, 2, 3}, .generation = 1}));
  }

  const LayerSpec spec_ = SmallLayer();
};

ExpertForwardRequest GoodForward() {
  ExpertForwardRequest request;
  request.layer = "x";
  request.generation = 1;
  request.route_tokens = {0, 0, 2};
  request.route_experts = {1, 3, 0};
  request.route_weights = {0.5f, 0.5f, 1.0f};
  request.x = Tensor::Zeros({3, 6});
  return request;
}

TEST_F(WorkerBadInputTest, ForwardNamesTheField) {
  using Request = ExpertForwardRequest;
  struct Case {
    std::function<void(Request&)> spoil;
    absl::StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {[](Request& r) { r.layer = "nope"; }, kPrecondition,
       "layer 'nope' not hosted by worker w0"},
      {[](Request& r) {
         r.x = Tensor::Zeros({3, 5});
       },
       kInvalid, "x.shape: got [3, 5], expected [tokens, 6]"},
      {[](Request& r) { r.x = Tensor::Zeros({18}); }, kInvalid,
       "x.shape: got [18], expected [tokens, 6]"},
      {[](Request& r) {
         r.x = Tensor::Zeros({1, 3, 6});
       },
       kInvalid, "x.shape: got [1, 3, 6], expected [tokens, 6]"},
      {[](Request& r) { r.x = Tensor::Zeros({}); }, kInvalid,
       "x.shape: got [], expected [tokens, 6]"},
      {[](Request& r) { r.route_experts.pop_back(); }, kInvalid,
       "route_experts: got 2 entries, expected 3 as in route_tokens"},
      {[](Request& r) { r.route_weights.push_back(1); }, kInvalid,
       "route_weights: got 4 entries, expected 3 as in route_tokens"},
      {[](Request& r) { r.route_tokens[2] = 3; }, kInvalid,
       "route_tokens[2]: got 3, expected a row of x, which has 3"},
      {[](Request& r) { r.route_tokens[0] = -1; }, kInvalid,
       "route_tokens[0]: got -1, expected a row of x, which has 3"},
      {[](Request& r) {
         r.route_tokens = {0, 2, 1};
       },
       kInvalid,
       "route_tokens[2]: got 1 after 2, expected routes ordered by token"},
      {[](Request& r) {
         r.x = Tensor::Zeros({0, 6});
       },
       kInvalid, "route_tokens[0]: got 0, expected a row of x, which has 0"},
      {[](Request& r) { r.route_experts[1] = 5; }, kInvalid,
       "route_experts[1]: got 5, expected 0 to 4"},
      {[](Request& r) { r.route_experts[1] = -7; }, kInvalid,
       "route_experts[1]: got -7, expected 0 to 4"},
      {[](Request& r) { r.route_experts[1] = 4; }, kPrecondition,
       "expert 4 of layer 'x' not hosted by worker w0"},
  };
  for (const Case& c : cases) {
    ExpertForwardRequest request = GoodForward();
    request.keep = MicrobatchKey{.step = 0, .microbatch = 0};
    c.spoil(request);
    EXPECT_THAT(worker.Forward(request), StatusIs(c.code, c.message));
  }
  EXPECT_EQ(worker.GetStatus().kept_activation_bytes, 0);
  EXPECT_OK(worker.Forward(GoodForward()));
}

TEST_F(WorkerBadInputTest, AForwardThatNoMachineHasMemoryForIsRefused) {
  LayerSpec wide = spec_;
  wide.name = "wide";
  wide.hidden_size = 1 << 11;
  ASSERT_OK(
      worker.LoadExperts({.spec = wide, .expert_ids = {0}, .generation = 1}));
  ExpertForwardRequest request = GoodForward();
  request.layer = "wide";
  request.exact_combine = true;
  request.x = Tensor::Zeros({1, 1 << 11});
  request.route_tokens.assign(1 << 20, 0);
  request.route_experts.assign(1 << 20, 0);
  request.route_weights.assign(1 << 20, 1.0f);
  EXPECT_THAT(worker.Forward(request),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("working memory")));
}

TEST_F(WorkerBadInputTest, LoadNamesTheField) {
  LayerSpec spec = spec_;
  spec.name = "y";
  const auto load = [&](const LayerSpec& s, std::vector<int32_t> ids) {
    return worker.LoadExperts(
        {.spec = s, .expert_ids = std::move(ids), .generation = 1});
  };
  EXPECT_THAT(load(spec, {0, 5}),
              StatusIs(kInvalid, "expert_ids[1]: got 5, expected 0 to 4"));
  EXPECT_THAT(load(spec, {-1}),
              StatusIs(kInvalid, "expert_ids[0]: got -1, expected 0 to 4"));
  EXPECT_THAT(
      load(spec, {3, 1, 3}),
      StatusIs(kInvalid, "expert_ids: got 3 twice, expected each once"));
  LayerSpec bad = spec;
  bad.hidden_size = 0;
  EXPECT_THAT(load(bad, {0}), StatusIs(kInvalid, HasSubstr("hidden_size")));
  EXPECT_THAT(load(spec_, {4}),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       "layer 'x' is hosted by worker w0 already"));
  EXPECT_OK(load(spec, {4}));
}

TEST_F(WorkerBadInputTest, LoadOverTheBudgetIsRefusedBeforeItAllocates) {
  LayerSpec huge = spec_;
  huge.name = "huge";
  huge.hidden_size = 1 << 20;
  huge.expert = MlpExpertSpec{1 << 20, Activation::kRelu};
  huge.num_experts = 1 << 16;
  EXPECT_THAT(worker.LoadExperts(LoadAll(huge)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("layer 'huge': parameters: got ")));

  // One linear expert: a panel of 32 x 6 elements and a bias of 6, with
  // gradients, 4 bytes each.
  TestWorker small({.max_parameter_bytes = 198 * 8});
  EXPECT_THAT(small.worker.LoadExperts(LoadAll(spec_)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "layer 'x': parameters: got 7920 bytes, expected at "
                       "most 1584 (0 of 1584 bytes are in use)"));
  const LoadExpertsRequest one = {
      .spec = spec_, .expert_ids = {0}, .generation = 1};
  // The name is free again, and so is memory after unloading.
  EXPECT_OK(small.worker.LoadExperts(one));
  EXPECT_OK(small.worker.UnloadExperts("x"));
  EXPECT_OK(small.worker.LoadExperts(one));
}

TEST_F(WorkerBadInputTest, BackwardNamesTheField) {
  const MicrobatchKey key = {.step = 0, .microbatch = 0};
  ExpertForwardRequest forward = GoodForward();
  forward.keep = key;
  ASSERT_OK(worker.Forward(forward));
  ExpertBackwardRequest request;
  request.layer = "nope";
  request.generation = 1;
  request.key = key;
  EXPECT_THAT(worker.Backward(request),
              StatusIs(kPrecondition, HasSubstr("'nope' not hosted")));
  request.layer = "x";
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{18}, Shape{3, 7}}) {
    request.grad_y = Tensor::Zeros(shape);
    EXPECT_THAT(worker.Backward(request),
                StatusIs(kInvalid, HasSubstr("expected [tokens, 6]")));
  }
  request.grad_y = Tensor::Zeros({2, 6});
  EXPECT_THAT(worker.Backward(request),
              StatusIs(kInvalid, "grad_y.shape: got [2, 6], expected [3, 6]"));
  request.grad_y = Tensor::Zeros({3, 6});
  EXPECT_OK(worker.Backward(request));
}

TEST_F(WorkerBadInputTest, StepsOfALayerThatIsNotHereAreRefused) {
  const auto refused =
      StatusIs(kPrecondition, "layer 'y' not hosted by worker w0");
  LayerSpec other = spec_;
  other.name = "y";
  EXPECT_THAT(worker.PrepareStep(StepOf(other, 0)), refused);
  EXPECT_THAT(worker.CommitStep(StepOf(other, 0), 0.1f), refused);
  EXPECT_THAT(worker.AbortStep(StepOf(other, 0)), refused);
  // However long its name.
  other.name = std::string(1 << 20, 'z');
  const absl::Status status = worker.AbortStep(StepOf(other, 0));
  EXPECT_LT(status.message().size(), 300u);
}

TEST_F(WorkerBadInputTest, LearningRatesMustBeFiniteAndNotNegative) {
  ASSERT_OK(worker.PrepareStep(StepOf(spec_, 0)));
  for (const float bad : {-0.1f, NAN, INFINITY, -INFINITY}) {
    EXPECT_THAT(worker.CommitStep(StepOf(spec_, 0), bad),
                StatusIs(kInvalid, HasSubstr("learning_rate: got ")));
  }
  EXPECT_OK(worker.CommitStep(StepOf(spec_, 0), 0.0f));
}

TEST_F(WorkerBadInputTest, ReadNamesTheRange) {
  struct Case {
    ParameterRange range;
    absl::StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {{"experts.0.nope", 0, 1},
       absl::StatusCode::kNotFound,
       "layer 'x' has no parameter 'experts.0.nope'"},
      {{"", 0, 1},
       absl::StatusCode::kNotFound,
       "layer 'x' has no parameter ''"},
      {{"experts.5.bias", 0, 1},
       absl::StatusCode::kNotFound,
       "layer 'x' has no parameter 'experts.5.bias'"},
      {{"gate.weight", 0, 1},
       kInvalid,
       "name: got 'gate.weight', expected an expert's parameter"},
      {{"experts.4.bias", 0, 1},
       kPrecondition,
       "expert 4 of layer 'x' not hosted by worker w0"},
      {{"experts.0.bias", 5, 2},
       kInvalid,
       "experts.0.bias: got 2 elements from 5 on, expected them within 6"},
      {{"experts.0.bias", -1, 1},
       kInvalid,
       "experts.0.bias: got 1 elements from -1 on, expected them within 6"},
      {{"experts.0.bias", 0, -1},
       kInvalid,
       "experts.0.bias: got -1 elements from 0 on, expected them within 6"},
      {{"experts.0.bias", 1, kMaxInt64},
       kInvalid,
       "experts.0.bias: got 9223372036854775807 elements from 1 on, expected "
       "them within 6"},
      {{"experts.0.bias", kMaxInt64, 1},
       kInvalid,
       "experts.0.bias: got 1 elements from 9223372036854775807 on, expected "
       "them within 6"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(worker.ReadExperts({.layer = "x", .ranges = {c.range}}),
                StatusIs(c.code, c.message));
  }
  EXPECT_THAT(worker.ReadExperts({.layer = "y", .ranges = {}}),
              StatusIs(kPrecondition, HasSubstr("'y' not hosted")));
}

TEST_F(WorkerBadInputTest, ReadsAreBoundedInBytes) {
  TestWorker small({.max_working_bytes = 300});
  ASSERT_OK(small.worker.LoadExperts(LoadAll(spec_)));
  const ParameterRange bias = {"experts.0.bias", 0, 6};
  EXPECT_OK(small.worker.ReadExperts(
      {.layer = "x", .ranges = std::vector<ParameterRange>(12, bias)}));
  EXPECT_THAT(
      small.worker.ReadExperts(
          {.layer = "x", .ranges = std::vector<ParameterRange>(13, bias)}),
      StatusIs(absl::StatusCode::kResourceExhausted,
               HasSubstr("working memory")));
}

TEST_F(WorkerBadInputTest, WriteNamesTheSlice) {
  struct Case {
    ParameterSlice slice;
    absl::StatusCode code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {{"experts.0.nope", {6}, 0, {1}},
       absl::StatusCode::kNotFound,
       "layer 'x' has no parameter 'experts.0.nope'"},
      {{"experts.4.bias", {6}, 0, {1}},
       kPrecondition,
       "expert 4 of layer 'x' not hosted by worker w0"},
      {{"experts.0.weight", {36}, 0, {1}},
       kInvalid,
       "experts.0.weight.shape: got [36], expected [6, 6]"},
      {{"experts.0.bias", {6}, 5, {1, 2}},
       kInvalid,
       "experts.0.bias: got 2 elements from 5 on, expected them within 6"},
      {{"experts.0.bias", {6}, kMaxInt64, {1}},
       kInvalid,
       "experts.0.bias: got 1 elements from 9223372036854775807 on, expected "
       "them within 6"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(worker.WriteExperts({.layer = "x", .slices = {c.slice}}),
                StatusIs(c.code, c.message));
  }
  LayerSpec int8 = spec_;
  int8.name = "int8";
  int8.inference_only = true;
  int8.int8_weights = true;
  ASSERT_OK(worker.LoadExperts(LoadAll(int8)));
  EXPECT_THAT(
      worker.WriteExperts(
          {.layer = "int8",
           .slices = {{"experts.0.weight", {6, 6}, 6, {1, 2, 3, 4, 5}}}}),
      StatusIs(kInvalid,
               "experts.0.weight: got 5 elements from 6 on, expected whole "
               "rows of 6, as the layer has int8_weights"));
  EXPECT_OK(worker.WriteExperts(
      {.layer = "int8",
       .slices = {{"experts.0.weight", {6, 6}, 6, {1, 2, 3, 4, 5, 6}}}}));
}

}  // namespace
}  // namespace switchyard
