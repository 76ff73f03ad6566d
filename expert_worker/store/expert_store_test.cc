#include "expert_worker/store/expert_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "common/base/status_testing.h"
#include "common/model/initialization.h"
#include "common/model/parameters.h"

namespace switchyard {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

LayerSpec Spec(OptimizerSpec optimizer) {
  LayerSpec spec;
  spec.name = "layer";
  spec.hidden_size = 6;
  spec.num_experts = 8;
  spec.expert = MlpExpertSpec{10, Activation::kRelu};
  spec.optimizer = optimizer;
  spec.seed = 5;
  return spec;
}

std::unique_ptr<ExpertStore> MakeStore(const LayerSpec& spec) {
  ThreadPool pool({.name = "test", .num_threads = 2});
  return *ExpertStore::Make(spec, {1, 4, 7}, pool);
}

TEST(ExpertStoreTest, KnowsWhereEachExpertIs) {
  const auto store = MakeStore(Spec(AdamSpec{}));
  EXPECT_EQ(store->num_hosted(), 3);
  EXPECT_EQ(store->HostedIdx(1), 0);
  EXPECT_EQ(store->HostedIdx(7), 2);
  for (const int32_t id : {-1, 0, 2, 8, 1 << 30}) {
    EXPECT_EQ(store->HostedIdx(id), -1) << id;
  }
  EXPECT_EQ(store->expert(1).expert_id(), 4);
}

std::vector<float> Values(const StoredExpert& expert,
                          const ParameterSpec& parameter) {
  std::vector<float> values(static_cast<size_t>(parameter.num_elements()));
  expert.Read(ParameterKind::kValue, parameter.idx_in_expert, 0,
              absl::MakeSpan(values));
  return values;
}

TEST(ExpertStoreTest, SizeIsWhatTheExpertsHold) {
  for (const OptimizerSpec& optimizer :
       {OptimizerSpec(AdamSpec{}), OptimizerSpec(SgdSpec{}),
        OptimizerSpec(SgdSpec{.momentum = 0.9f})}) {
    const LayerSpec spec = Spec(optimizer);
    const auto store = MakeStore(spec);
    int64_t bytes = 0;
    for (int64_t i = 0; i < 3; ++i) bytes += store->expert(i).size_bytes();
    EXPECT_EQ(ExpertStore::SizeBytes(spec, store->expert_ids()), bytes);
  }
}

TEST(ExpertStoreTest, SizeOfTheLargestLayerDoesNotOverflow) {
  LayerSpec spec = Spec(AdamSpec{});
  spec.hidden_size = 1 << 20;
  spec.num_experts = 1 << 16;
  spec.expert = MlpExpertSpec{1 << 20, Activation::kRelu};
  spec.gate.k = 1;
  ASSERT_OK(Validate(spec));
  std::vector<int32_t> all(static_cast<size_t>(spec.num_experts));
  std::iota(all.begin(), all.end(), 0);
  EXPECT_GT(ExpertStore::SizeBytes(spec, all), int64_t{1} << 60);
}

TEST(ExpertStoreTest, StartsWithInitialParametersAndNoGradients) {
  const LayerSpec spec = Spec(AdamSpec{});
  const auto store = MakeStore(spec);
  const std::vector<ParameterSpec> parameters = ExpertParameters(spec, 4);
  const StoredExpert& expert = store->expert(1);
  for (const ParameterSpec& parameter : parameters) {
    EXPECT_THAT(
        Values(expert, parameter),
        ElementsAreArray(InitialParameter(parameter, spec.seed).values()));
  }
  EXPECT_EQ(expert.SquaredGradientNorm(), 0.0);
}

TEST(StoredExpertTest, ReadsWhatWasWritten) {
  StoredExpert expert(Spec(AdamSpec{}), 0);
  const float values[] = {3, 4};
  expert.Write(ParameterKind::kGradient, 1, 2, values);
  expert.Write(ParameterKind::kValue, 3, 4, values);
  std::vector<float> read(4);
  expert.Read(ParameterKind::kGradient, 1, 1, absl::MakeSpan(read));
  EXPECT_THAT(read, ElementsAre(0, 3, 4, 0));
  read.resize(2);
  expert.Read(ParameterKind::kValue, 3, 4, absl::MakeSpan(read));
  EXPECT_THAT(read, ElementsAre(3, 4));
  EXPECT_DOUBLE_EQ(expert.SquaredGradientNorm(), 25.0);
}

TEST(StoredExpertTest, UpdateUsesTheGradientsAndZeroesThem) {
  StoredExpert expert(Spec(SgdSpec{}), 0);
  const float one[] = {1};
  const ParameterSpec bias = ExpertParameters(Spec(SgdSpec{}), 0)[1];
  const float before = Values(expert, bias)[2];
  expert.Write(ParameterKind::kGradient, 1, 2, one);
  UpdateScratch scratch = StoredExpert::MakeUpdateScratch();
  expert.Update(SgdSpec{}, 0.5f, 1, scratch);
  EXPECT_FLOAT_EQ(Values(expert, bias)[2], before - 0.5f);
  EXPECT_EQ(expert.SquaredGradientNorm(), 0.0);
}

TEST(StoredExpertTest, ZeroGradientsLeavesTheValues) {
  StoredExpert expert(Spec(SgdSpec{}), 0);
  const float one[] = {1};
  expert.Write(ParameterKind::kGradient, 0, 0, one);
  const ParameterSpec weight = ExpertParameters(Spec(SgdSpec{}), 0)[0];
  const std::vector<float> before = Values(expert, weight);
  expert.ZeroGradients();
  EXPECT_EQ(expert.SquaredGradientNorm(), 0.0);
  EXPECT_EQ(Values(expert, weight), before);
}

}  // namespace
}  // namespace switchyard
