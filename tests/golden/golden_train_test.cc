// Whole trainings by TrainStep: losses and final weights are those of torch's
// optimizers around DeepSpeed's layer.
#include <vector>

#include "common/base/status_testing.h"
#include "tests/golden/golden_testing.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAreArray;

// Step t of an array [steps, ...].
Tensor StepOf(const Tensor& all, int64_t t) {
  const Shape shape(all.shape().begin() + 1, all.shape().end());
  const int64_t num_elements = all.num_elements() / all.shape()[0];
  return Tensor::FromSpan(shape,
                          absl::Span<const float>(all.values())
                              .subspan(static_cast<size_t>(t * num_elements),
                                       static_cast<size_t>(num_elements)));
}

class GoldenTrainTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenTrainTest, LossesAndFinalWeightsAreDeepSpeeds) {
  if (const auto reason = NotOffered(GetParam())) GTEST_SKIP() << *reason;
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  const LayerSpec spec = SpecOf(GetParam());
  const std::unique_ptr<LayerApi> api = ApiFor(arrays, /*num_workers=*/2);
  ASSERT_OK(api->CreateLayer(spec));
  ASSERT_OK(WriteGoldenParameters(*api, spec, arrays));

  const Tensor x = arrays.Floats("x");
  const Tensor target = arrays.Floats("target");
  const Tensor losses = arrays.Floats("losses");
  const Tensor aux_losses = arrays.Floats("l_aux");
  const std::vector<int64_t> counts = arrays.Integers("exp_counts");
  for (int64_t t = 0; t < losses.num_elements(); ++t) {
    TrainStepRequest request;
    request.layer = spec.name;
    request.learning_rate = GetParam().params().at("lr");
    request.head = MeanSquaredErrorHead{.target = StepOf(target, t)};
    request.x = StepOf(x, t);
    ASSERT_OK_AND_ASSIGN(const TrainStepResult result, api->TrainStep(request));
    EXPECT_NEAR(result.loss, losses.data()[t],
                kTrainTolerance * losses.data()[t])
        << "step " << t;
    EXPECT_NEAR(result.aux_loss, aux_losses.data()[t],
                kTrainTolerance * aux_losses.data()[t])
        << "step " << t;
    const auto first =
        counts.begin() + static_cast<ptrdiff_t>(t * spec.num_experts);
    EXPECT_THAT(result.expert_counts,
                ElementsAreArray(first, first + spec.num_experts))
        << "step " << t;
  }
  ExpectGoldenParameters(*api, spec, arrays, "final_", ParameterKind::kValue,
                         kTrainTolerance);
}

INSTANTIATE_TEST_SUITE_P(DeepSpeed, GoldenTrainTest,
                         ::testing::ValuesIn(GoldenCasesOrNone("train")),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace switchyard::testing
