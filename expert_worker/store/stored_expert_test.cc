#include "expert_worker/store/stored_expert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/model/initialization.h"
#include "common/model/parameters.h"
#include "common/optimizer/optimizer.h"
#include "expert_worker/testing/random_tensor.h"

namespace switchyard {
namespace {

LayerSpec Bfloat16Layer() {
  LayerSpec spec;
  spec.name = "narrow";
  spec.hidden_size = 4;
  spec.num_experts = 2;
  spec.expert = GatedExpertSpec{.ffn_size = 3};
  spec.optimizer = SgdSpec{};
  spec.parameter_dtypes = {{"experts.*.gate_proj.weight", DType::kBFloat16},
                           {"experts.*.up_proj.weight", DType::kBFloat16},
                           {"experts.*.down_proj.weight", DType::kBFloat16}};
  return spec;
}

TEST(StoredExpertTest, AnInferenceOnlyExpertHoldsItsValuesAlone) {
  LayerSpec spec = Bfloat16Layer();
  // Panels of 32 outputs with 4, 4 and 3 inputs: 352 values of 2 bytes; their
  // gradients in float32; SGD has no state.
  EXPECT_EQ(StoredExpert(spec, 0).size_bytes(), 352 * 2 + 352 * 4);
  spec.inference_only = true;
  EXPECT_EQ(StoredExpert(spec, 0).size_bytes(), 352 * 2);
  EXPECT_EQ(StoredExpert::SizeBytes(spec, 0), 352 * 2);
  spec.int8_weights = true;
  EXPECT_EQ(StoredExpert(spec, 0).size_bytes(), 352 + (3 + 3 + 4) * 4);
}

// p - lr g is computed in float32 and rounded once.
TEST(StoredExpertTest, UpdatesAreRoundedToTheStoredDType) {
  const LayerSpec spec = Bfloat16Layer();
  StoredExpert expert(spec, 0);
  const std::vector<float> ones = {1.0f, 1.0f};
  expert.Write(ParameterKind::kValue, 0, 0, ones);
  // bfloat16 has 7 bits after the point: 2^-7 shows, 2^-10 does not.
  expert.Write(ParameterKind::kGradient, 0, 0,
               std::vector<float>{-0.0078125f, -0.0009765625f});
  UpdateScratch scratch = StoredExpert::MakeUpdateScratch();
  expert.Update(spec.optimizer, /*learning_rate=*/1.0f, /*step_number=*/1,
                scratch);
  std::vector<float> values(2);
  expert.Read(ParameterKind::kValue, 0, 0, absl::MakeSpan(values));
  EXPECT_THAT(values, ::testing::ElementsAre(1.0078125f, 1.0f));
}

// Updates go piece by piece; no piece, nor what its moments were, may show.
TEST(StoredExpertTest, LargeParametersAreUpdatedAsAWhole) {
  LayerSpec spec = Bfloat16Layer();
  spec.hidden_size = 91;
  spec.expert = LinearExpertSpec{.bias = false};
  spec.optimizer = AdamSpec{.weight_decay = 0.1f};
  spec.parameter_dtypes = {{"experts.*.weight", DType::kBFloat16}};
  const Shape shape = {91, 91};
  StoredExpert expert(spec, 0);
  StoredTensor expected(shape, DType::kBFloat16);
  expected.Write(0, InitialParameter(ExpertParameters(spec, 0)[0], 0).values());
  OptimizerState state = MakeOptimizerState(spec.optimizer, shape);
  UpdateScratch scratch = StoredExpert::MakeUpdateScratch();
  for (int64_t step = 1; step <= 3; ++step) {
    const Tensor gradient =
        testing::RandomTensor(shape, static_cast<uint64_t>(step));
    expert.Write(ParameterKind::kGradient, 0, 0, gradient.values());
    expert.Update(spec.optimizer, 0.01f, step, scratch);
    Tensor value = Tensor::Zeros(shape);
    expected.Read(0, value.values());
    ApplyUpdate(spec.optimizer, 0.01f, step, gradient, value, state);
    expected.Write(0, value.values());
  }
  std::vector<float> got(91 * 91);
  std::vector<float> want(91 * 91);
  expert.Read(ParameterKind::kValue, 0, 0, absl::MakeSpan(got));
  expected.Read(0, absl::MakeSpan(want));
  EXPECT_EQ(got, want);
}

}  // namespace
}  // namespace switchyard
