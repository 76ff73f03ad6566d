// DeepSpeed's whole layer: output, losses, counts and gradients of
// loss = sum(y * g) + alpha * l_aux.
#include <vector>

#include "common/base/status_testing.h"
#include "tests/golden/golden_testing.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAreArray;

ForwardRequest RequestOf(const LayerSpec& spec, const GoldenArrays& arrays,
                         Mode mode) {
  ForwardRequest request;
  request.layer = spec.name;
  request.mode = mode;
  request.x = arrays.Floats("x");
  if (arrays.Has("used_token")) {
    for (const int64_t used : arrays.Integers("used_token")) {
      request.used_tokens.push_back(used != 0);
    }
  }
  return request;
}

void ExpectForward(const ForwardResult& forward, const GoldenArrays& arrays) {
  ExpectClose(forward.y.values(), arrays.Floats("y").values(), kLayerTolerance,
              "y");
  EXPECT_EQ(forward.y.shape(), arrays.Floats("y").shape());
  EXPECT_EQ(forward.capacity, arrays.Integer("capacity"));
  EXPECT_THAT(forward.expert_counts,
              ElementsAreArray(arrays.Integers("exp_counts")));
  EXPECT_NEAR(forward.aux_loss, arrays.Float("l_aux"),
              2e-6 + 2e-5 * std::abs(arrays.Float("l_aux")));
}

class GoldenLayerTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenLayerTest, OutputLossAndGradientsAreDeepSpeeds) {
  if (const auto reason = NotOffered(GetParam())) GTEST_SKIP() << *reason;
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  LayerSpec spec = SpecOf(GetParam());
  const std::unique_ptr<LayerApi> api = ApiFor(arrays, /*num_workers=*/2);
  if (spec.capacity.eval_capacity_factor.has_value()) {
    // Evaluated as it is; its gradients, which eval mode has none of here, come
    // from train mode under the same capacity.
    ASSERT_OK(api->CreateLayer(spec));
    ASSERT_OK(WriteGoldenParameters(*api, spec, arrays));
    ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                         api->Forward(RequestOf(spec, arrays, Mode::kEval)));
    ExpectForward(forward, arrays);
    ASSERT_OK(api->DeleteLayer(spec.name));
    spec.capacity.capacity_factor = *spec.capacity.eval_capacity_factor;
  }
  ASSERT_OK(api->CreateLayer(spec));
  ASSERT_OK(WriteGoldenParameters(*api, spec, arrays));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       api->Forward(RequestOf(spec, arrays, Mode::kTrain)));
  ExpectForward(forward, arrays);

  BackwardRequest backward;
  backward.layer = spec.name;
  backward.step = forward.step;
  backward.microbatch = forward.microbatch;
  backward.grad_aux_loss = spec.aux_loss_coefficient;
  backward.grad_y = arrays.Floats("g");
  ASSERT_OK_AND_ASSIGN(const BackwardResult gradient, api->Backward(backward));
  ExpectClose(gradient.grad_x.values(), arrays.Floats("grad_x").values(),
              kLayerTolerance, "grad_x");
  ExpectGoldenParameters(*api, spec, arrays, "grad_", ParameterKind::kGradient,
                         kLayerTolerance);
}

INSTANTIATE_TEST_SUITE_P(DeepSpeed, GoldenLayerTest,
                         ::testing::ValuesIn(GoldenCasesOrNone("layer")),
                         [](const auto& tested) { return tested.param.name; });

TEST(GoldenCasesTest, AreThere) {
  EXPECT_FALSE(GoldenCasesOrNone("gating").empty());
  EXPECT_FALSE(GoldenCasesOrNone("layer").empty());
  EXPECT_FALSE(GoldenCasesOrNone("train").empty());
}

}  // namespace
}  // namespace switchyard::testing
