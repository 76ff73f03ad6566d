// Inputs that break routers: ties, NaN and infinities, no tokens, no capacity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gateway/routing/capacity.h"
#include "gateway/routing/router.h"
#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using testing::DroppingLayer;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::RandomNormal;
using testing::RandomUniform;
using testing::TestLayer;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kHuge = std::numeric_limits<float>::max();
constexpr int32_t kChoices[] = {1, 2, 3, 5};

RoutingDecision Train(const LayerSpec& spec, ConstMatrix logits) {
  return testing::Route(spec, Mode::kTrain, logits, GateDraws(), {});
}

TEST(RouterTrapsTest, TiedExpertsGoToTheLowestIds) {
  const Tensor logits = Tensor::Zeros({1, 4});
  EXPECT_THAT(Train(TestLayer(1, 4), logits).expert_ids, ElementsAre(0));
  EXPECT_THAT(Train(TestLayer(2, 4), logits).expert_ids, ElementsAre(0, 1));
  EXPECT_THAT(Train(TestLayer(3, 4), logits).expert_ids, ElementsAre(0, 1, 2));
  const Tensor last_ties = Tensor::FromSpan({1, 4}, {0.0f, 1.0f, 2.0f, 2.0f});
  EXPECT_THAT(Train(TestLayer(2, 4), last_ties).expert_ids, ElementsAre(2, 3));
  EXPECT_THAT(Train(TestLayer(3, 4), last_ties).expert_ids,
              ElementsAre(2, 3, 1));
}

TEST(RouterTrapsTest, TiedTokensAreKeptInTokenOrder) {
  // All five tokens choose experts 0, 1, 2 with one score; capacity 2.
  const Tensor logits = Tensor::Zeros({5, 3});
  for (const DropPolicy policy : {DropPolicy::kProbs, DropPolicy::kPosition}) {
    LayerSpec spec = DroppingLayer(3, 3, 0.4f);
    spec.gate.drop_policy = policy;
    EXPECT_THAT(
        Train(spec, logits).expert_ids,
        ElementsAre(0, 1, 2, 0, 1, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  }
  GateDraws draws;
  draws.rts_uniform = Tensor::Zeros({5, 3});
  const RoutingDecision rts = testing::Route(DroppingLayer(1, 3, 1.0f),
                                             Mode::kTrain, logits, draws, {});
  EXPECT_THAT(rts.expert_ids, ElementsAre(0, 0, -1, -1, -1));
}

TEST(RouterTrapsTest, NoTokensAreValid) {
  for (const int32_t k : kChoices) {
    for (const bool drop : {false, true}) {
      LayerSpec spec = TestLayer(k, 6);
      spec.capacity.drop_tokens = drop;
      spec.capacity.min_capacity = 3;
      const RoutingDecision decision = Train(spec, Tensor::Zeros({0, 6}));
      EXPECT_EQ(decision.num_tokens, 0);
      EXPECT_THAT(decision.expert_ids, IsEmpty());
      EXPECT_THAT(decision.weights, IsEmpty());
      EXPECT_THAT(decision.expert_counts, ElementsAre(0, 0, 0, 0, 0, 0));
      EXPECT_THAT(decision.kept_counts, ElementsAre(0, 0, 0, 0, 0, 0));
      EXPECT_EQ(decision.aux_loss, 0.0f);
      EXPECT_EQ(decision.capacity, drop ? 3 : 0);
    }
  }
}

TEST(RouterTrapsTest, WithoutCapacityEveryRouteIsDropped) {
  // 2 tokens / 64 experts * factor underflows to 0.
  LayerSpec spec =
      DroppingLayer(1, 64, std::numeric_limits<float>::denorm_min());
  for (const int32_t k : kChoices) {
    for (const DropPolicy policy :
         {DropPolicy::kProbs, DropPolicy::kPosition}) {
      spec.gate.k = k;
      spec.gate.drop_policy = policy;
      const RoutingDecision decision = Train(spec, RandomNormal({2, 64}, 1));
      EXPECT_EQ(decision.capacity, 0);
      EXPECT_THAT(decision.expert_ids, Each(-1));
      EXPECT_THAT(decision.weights, Each(0.0f));
      EXPECT_THAT(decision.kept_counts, Each(0));
      EXPECT_GT(decision.aux_loss, 0.0f);
    }
  }
}

TEST(RouterTrapsTest, AVanishingWeightIsNotBlownUpToOne) {
  // Both tokens choose expert 0, which has one slot; token 1 is left with
  // expert 1 and a probability of about 1e-9.
  const Tensor logits =
      Tensor::FromSpan({2, 3}, {0.0f, -9.0f, -1.0f, 0.0f, -20.7f, -30.0f});
  LayerSpec spec = DroppingLayer(2, 3, 0.01f);
  spec.capacity.min_capacity = 1;
  const RoutingDecision decision = Train(spec, logits);
  ASSERT_THAT(decision.expert_ids, ElementsAre(0, 2, -1, 1));
  const float p = decision.scores.row(1)[1];
  ASSERT_LT(p, std::numeric_limits<float>::epsilon());
  EXPECT_FLOAT_EQ(decision.weights[3],
                  p / std::numeric_limits<float>::epsilon());
}

TEST(RouterTrapsTest, UsedTokensAreIgnoredAboveOneChoice) {
  const Tensor logits = RandomNormal({5, 4}, 1);
  for (const int32_t k : {2, 3}) {
    const RoutingDecision decision =
        testing::Route(TestLayer(k, 4), Mode::kTrain, logits, GateDraws(),
                       std::vector<bool>(5, false));
    EXPECT_EQ(decision.expert_ids, Train(TestLayer(k, 4), logits).expert_ids);
  }
}

TEST(RouterTrapsTest, AllExpertsMayBeChosen) {
  const RoutingDecision decision =
      Train(TestLayer(4, 4), RandomNormal({9, 4}, 1));
  EXPECT_THAT(decision.expert_counts, Each(9));
  for (size_t token = 0; token < 9; ++token) {
    float sum = 0;
    for (size_t r = 0; r < 4; ++r) sum += decision.weights[4 * token + r];
    EXPECT_NEAR(sum, 1.0f, 1e-6);
  }
}

TEST(RouterTrapsTest, AllTokensMayBeUnused) {
  for (const bool drop : {false, true}) {
    LayerSpec spec = TestLayer(1, 3);
    spec.capacity.drop_tokens = drop;
    const RoutingDecision decision =
        testing::Route(spec, Mode::kTrain, RandomNormal({4, 3}, 1), GateDraws(),
                       std::vector<bool>(4, false));
    EXPECT_THAT(decision.expert_ids, Each(-1));
    EXPECT_THAT(decision.expert_counts, Each(0));
    EXPECT_EQ(decision.aux_loss, 0.0f);
    EXPECT_EQ(decision.capacity, drop ? 2 : 0);
  }
}

TEST(RouterTrapsTest, OneExpertTakesEverything) {
  const RoutingDecision decision =
      Train(TestLayer(1, 1), RandomNormal({3, 1}, 1));
  EXPECT_THAT(decision.expert_ids, ElementsAre(0, 0, 0));
  EXPECT_THAT(decision.slots, ElementsAre(0, 1, 2));
  EXPECT_THAT(decision.weights, ElementsAre(1.0f, 1.0f, 1.0f));
}

TEST(RouterTrapsTest, TheLargestFiniteLogitsAreNotBroken) {
  const Tensor logits =
      Tensor::FromSpan({2, 3}, {kHuge, -kHuge, 0.0f, -kHuge, -kHuge, -kHuge});
  for (const int32_t k : {1, 2, 3}) {
    const RoutingDecision decision = Train(TestLayer(k, 3), logits);
    EXPECT_EQ(FirstNonFinite(decision.weights), -1);
    EXPECT_EQ(FirstNonFinite(decision.scores.values()), -1);
    EXPECT_EQ(decision.expert_ids[0], 0);
  }
}

// Every way a logit can be broken, at every place of a row.
std::vector<Tensor> BrokenRows(int64_t num_experts) {
  std::vector<Tensor> rows;
  for (const float value : {kNan, -kNan, kInf, -kInf}) {
    for (int64_t e = 0; e < num_experts; ++e) {
      Tensor row = RandomNormal({1, num_experts}, 5);
      row.data()[e] = value;
      rows.push_back(std::move(row));
    }
    Tensor all = Tensor::Uninitialized({1, num_experts});
    std::fill_n(all.data(), num_experts, value);
    rows.push_back(std::move(all));
  }
  return rows;
}

TEST(RouterTrapsTest, ABrokenTokenGetsTheLowestExpertsAndNanWeights) {
  for (const int32_t k : kChoices) {
    for (const Tensor& row : BrokenRows(6)) {
      const RoutingDecision decision = Train(TestLayer(k, 6), row);
      for (int32_t r = 0; r < k; ++r) {
        EXPECT_EQ(decision.expert_ids[static_cast<size_t>(r)], r);
        EXPECT_TRUE(std::isnan(decision.weights[static_cast<size_t>(r)]));
      }
      EXPECT_TRUE(std::isnan(decision.aux_loss));
    }
  }
}

// Logits of `num_tokens` tokens of which every third is broken, and which are
// the other ones.
struct MixedBatch {
  Tensor logits;
  Tensor sound_logits;
  std::vector<int64_t> sound_tokens;
};

MixedBatch MakeMixedBatch(int64_t num_tokens, int64_t num_experts,
                          uint64_t seed) {
  MixedBatch batch;
  batch.logits = RandomNormal({num_tokens, num_experts}, seed);
  std::vector<float> sound;
  for (int64_t t = 0; t < num_tokens; ++t) {
    float* row = batch.logits.row(t);
    row[0] += 1.0f;
    if (t % 3 == 0) {
      row[t % num_experts] = t % 2 == 0 ? kNan : kInf;
    } else {
      sound.insert(sound.end(), row, row + num_experts);
      batch.sound_tokens.push_back(t);
    }
  }
  batch.sound_logits = Tensor::FromSpan(
      {static_cast<int64_t>(batch.sound_tokens.size()), num_experts}, sound);
  return batch;
}

void ExpectSoundRoutesEqual(const MixedBatch& batch, const LayerSpec& spec,
                            const RoutingDecision& mixed,
                            const RoutingDecision& sound) {
  const size_t k = static_cast<size_t>(spec.gate.k);
  for (size_t i = 0; i < batch.sound_tokens.size(); ++i) {
    for (size_t r = 0; r < k; ++r) {
      const size_t at = static_cast<size_t>(batch.sound_tokens[i]) * k + r;
      ASSERT_EQ(mixed.expert_ids[at], sound.expert_ids[i * k + r]) << i;
      ASSERT_EQ(mixed.slots[at], sound.slots[i * k + r]) << i;
      ASSERT_EQ(mixed.weights[at], sound.weights[i * k + r]) << i;
    }
  }
}

TEST(RouterTrapsTest, BrokenTokensDoNotTouchTheRoutesOfTheOthers) {
  constexpr int64_t kTokens = 30, kExperts = 6;
  for (const int32_t k : kChoices) {
    for (const DropPolicy policy :
         {DropPolicy::kProbs, DropPolicy::kPosition}) {
      for (const bool drop : {false, true}) {
        const MixedBatch batch = MakeMixedBatch(kTokens, kExperts, 7);
        LayerSpec spec = TestLayer(k, kExperts);
        spec.gate.drop_policy = policy;
        spec.capacity.drop_tokens = drop;
        // The same capacity for both batches.
        spec.capacity.capacity_factor = 0.01f;
        spec.capacity.min_capacity = 3 * k;
        ExpectSoundRoutesEqual(batch, spec, Train(spec, batch.logits),
                               Train(spec, batch.sound_logits));
      }
    }
  }
}

TEST(RouterTrapsTest, BrokenTokensComeLastInRandomTokenSelection) {
  const MixedBatch batch = MakeMixedBatch(12, 2, 7);
  LayerSpec spec = DroppingLayer(1, 2, 0.01f);
  spec.capacity.min_capacity = 2;
  GateDraws draws;
  draws.rts_uniform = RandomUniform({12, 2}, 3);
  // The broken tokens draw the largest numbers and still lose.
  for (int64_t t = 0; t < 12; t += 3) draws.rts_uniform.row(t)[0] = 0.9999f;
  const RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, batch.logits, draws, {});
  EXPECT_EQ(decision.kept_counts[0], 2);
  for (size_t t = 0; t < 12; t += 3) {
    EXPECT_EQ(decision.expert_ids[t], -1);
    EXPECT_EQ(decision.weights[t], 0.0f);
  }
}

TEST(RouterTrapsTest, AllTokensMayBeBroken) {
  Tensor logits = Tensor::Uninitialized({10, 6});
  std::fill_n(logits.data(), logits.num_elements(), kNan);
  for (const int32_t k : kChoices) {
    for (const DropPolicy policy :
         {DropPolicy::kProbs, DropPolicy::kPosition}) {
      LayerSpec spec = DroppingLayer(k, 6, 0.5f);
      spec.gate.drop_policy = policy;
      GateDraws draws;
      draws.gumbel = RandomNormal({10, 6}, 1);
      if (k == 1) draws.rts_uniform = RandomUniform({10, 6}, 2);
      const RoutingDecision decision =
          testing::Route(spec, Mode::kTrain, logits, draws, {});
      EXPECT_EQ(decision.expert_counts[0], 10);
      EXPECT_EQ(decision.kept_counts[0], decision.capacity);
    }
  }
}

}  // namespace
}  // namespace switchyard
