#include "gateway/routing/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "gateway/routing/capacity.h"
#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using testing::RandomNormal;
using testing::RandomUniform;
using testing::ReferenceInput;
using testing::ReferenceRouting;
using testing::ToMatrix;

// One random table: a layer and a batch for it.
struct Table {
  LayerSpec spec;
  Mode mode = Mode::kTrain;
  Tensor logits;
  GateDraws draws;
  std::vector<bool> used_tokens;
};

Table RandomTable(int32_t k, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  const int32_t num_experts = pick(std::max(k, 2), std::max(k, 2) + 12);
  const int64_t num_tokens = pick(1, 60);
  Table t;
  t.spec = testing::TestLayer(k, num_experts);
  t.spec.capacity.drop_tokens = pick(0, 3) > 0;
  t.spec.capacity.capacity_factor = 0.25f * static_cast<float>(pick(1, 6));
  t.spec.capacity.min_capacity = pick(0, 3);
  t.spec.gate.drop_policy =
      pick(0, 1) > 0 ? DropPolicy::kProbs : DropPolicy::kPosition;
  if (pick(0, 1) > 0) {
    t.mode = Mode::kEval;
    if (t.spec.capacity.drop_tokens) {
      t.spec.capacity.eval_capacity_factor = t.spec.capacity.capacity_factor;
    }
  }
  const Shape shape = {num_tokens, num_experts};
  t.logits = RandomNormal(shape, seed + 1);
  // A favourite expert, so that there is something to drop.
  for (int64_t i = 0; i < num_tokens; ++i) t.logits.row(i)[0] += 1.0f;
  if (k <= 2 && pick(0, 1) > 0) t.draws.gumbel = RandomNormal(shape, seed + 2);
  if (k == 1 && CanDrop(t.spec.capacity, t.mode) && pick(0, 1) > 0) {
    t.draws.rts_uniform = RandomUniform(shape, seed + 3);
  }
  if (k == 1 && pick(0, 1) > 0) {
    for (int64_t i = 0; i < num_tokens; ++i) {
      t.used_tokens.push_back(pick(0, 4) > 0);
    }
  }
  return t;
}

ReferenceRouting Reference(const Table& t) {
  ReferenceInput in;
  in.gate = t.spec.gate;
  if (CanDrop(t.spec.capacity, t.mode)) {
    in.capacity = ExpertCapacity(t.spec, t.mode, t.logits.rows());
  }
  in.logits = ToMatrix(t.logits);
  if (t.draws.gumbel.num_elements() > 0) in.gumbel = ToMatrix(t.draws.gumbel);
  if (t.draws.rts_uniform.num_elements() > 0) {
    in.rts_uniform = ToMatrix(t.draws.rts_uniform);
  }
  in.used_tokens = t.used_tokens;
  return testing::ReferenceGate(in);
}

RoutingDecision Route(const Table& t) {
  return testing::Route(t.spec, t.mode, t.logits, t.draws, t.used_tokens);
}

void ExpectEqual(const RoutingDecision& decision,
                 const ReferenceRouting& expected) {
  size_t route = 0;
  for (size_t t = 0; t < expected.expert_ids.size(); ++t) {
    for (size_t r = 0; r < expected.expert_ids[t].size(); ++r, ++route) {
      ASSERT_EQ(decision.expert_ids[route], expected.expert_ids[t][r])
          << "token " << t << ", choice " << r;
      ASSERT_EQ(decision.slots[route], expected.slots[t][r])
          << "token " << t << ", choice " << r;
      ASSERT_NEAR(decision.weights[route], expected.weights[t][r], 1e-6)
          << "token " << t << ", choice " << r;
    }
  }
  ASSERT_EQ(route, decision.expert_ids.size());
  EXPECT_EQ(decision.expert_counts, expected.expert_counts);
  EXPECT_NEAR(decision.aux_loss, expected.aux_loss, 2e-6 * expected.aux_loss);
}

class RandomTablesTest : public ::testing::TestWithParam<int32_t> {};

TEST_P(RandomTablesTest, RoutesAsTheReferenceModelDoes) {
  constexpr int kNumTables = 300;
  int num_compared = 0;
  int num_with_drops = 0;
  for (uint64_t seed = 0; seed < kNumTables; ++seed) {
    SCOPED_TRACE(::testing::Message()
                 << "k " << GetParam() << ", seed " << seed);
    const Table table = RandomTable(GetParam(), 1000 * seed);
    const ReferenceRouting expected = Reference(table);
    if (expected.min_gap < 1e-5) continue;
    const RoutingDecision decision = Route(table);
    ASSERT_NO_FATAL_FAILURE(ExpectEqual(decision, expected));
    ++num_compared;
    num_with_drops += decision.kept_counts != decision.expert_counts;
  }
  EXPECT_GT(num_compared, kNumTables / 2);
  EXPECT_GT(num_with_drops, kNumTables / 6);
}

TEST_P(RandomTablesTest, EveryRouteIsInOneSlotOfItsOwnOrCountedAsDropped) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(::testing::Message()
                 << "k " << GetParam() << ", seed " << seed);
    const Table table = RandomTable(GetParam(), 1000 * seed);
    const RoutingDecision decision = Route(table);
    std::vector<std::vector<bool>> taken;
    for (size_t e = 0; e < decision.kept_counts.size(); ++e) {
      ASSERT_EQ(decision.kept_counts[e],
                std::min(decision.expert_counts[e], decision.capacity));
      taken.emplace_back(static_cast<size_t>(decision.kept_counts[e]), false);
    }
    int64_t num_kept = 0;
    for (size_t r = 0; r < decision.expert_ids.size(); ++r) {
      if (decision.expert_ids[r] < 0) {
        ASSERT_EQ(decision.weights[r], 0.0f);
        ASSERT_EQ(decision.slots[r], 0);
        continue;
      }
      const size_t e = static_cast<size_t>(decision.expert_ids[r]);
      const size_t slot = static_cast<size_t>(decision.slots[r]);
      ASSERT_FALSE(taken.at(e).at(slot));
      taken[e][slot] = true;
      ++num_kept;
    }
    ASSERT_EQ(num_kept,
              std::accumulate(decision.kept_counts.begin(),
                              decision.kept_counts.end(), int64_t{0}));
  }
}

TEST_P(RandomTablesTest, RenumberingTheExpertsRenumbersTheRoutes) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(::testing::Message()
                 << "k " << GetParam() << ", seed " << seed);
    Table table = RandomTable(GetParam(), 1000 * seed);
    if (Reference(table).min_gap < 1e-5) continue;
    const RoutingDecision decision = Route(table);
    const int64_t num_experts = table.spec.num_experts;
    // Expert e becomes num_experts - 1 - e.
    const auto reverse_rows = [](Tensor& t) {
      for (int64_t i = 0; i < t.rows(); ++i) {
        std::reverse(t.row(i), t.row(i) + t.cols());
      }
    };
    reverse_rows(table.logits);
    reverse_rows(table.draws.gumbel);
    reverse_rows(table.draws.rts_uniform);
    const RoutingDecision renumbered = Route(table);
    ASSERT_EQ(renumbered.slots, decision.slots);
    for (size_t r = 0; r < decision.expert_ids.size(); ++r) {
      const int32_t id = decision.expert_ids[r];
      ASSERT_EQ(renumbered.expert_ids[r], id < 0 ? -1 : num_experts - 1 - id);
      ASSERT_NEAR(renumbered.weights[r], decision.weights[r], 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(K, RandomTablesTest, ::testing::Values(1, 2, 3, 4, 8));

TEST(RouterTest, Top1WeighsWithThePlainProbabilityAndTop2Normalises) {
  const Tensor logits = Tensor::FromSpan({1, 2}, {0.0f, 0.0f});
  const RoutingDecision top1 = testing::Route(
      testing::TestLayer(1, 2), Mode::kEval, logits, GateDraws(), {});
  EXPECT_THAT(top1.weights, ::testing::ElementsAre(0.5f));
  const RoutingDecision top2 = testing::Route(
      testing::DroppingLayer(2, 2, 0.5f), Mode::kTrain,
      Tensor::FromSpan({2, 2}, {1.0f, 0.0f, 1.0f, 0.0f}), GateDraws(), {});
  // Capacity 1: token 0 keeps both choices, token 1 none.
  EXPECT_THAT(top2.expert_ids, ::testing::ElementsAre(0, 1, -1, -1));
  EXPECT_FLOAT_EQ(top2.weights[0] + top2.weights[1], 1.0f);
}

TEST(RouterTest, FirstChoicesBeatSecondChoicesOfEarlierTokens) {
  // Token 0 chooses experts 0, 1; token 1 chooses 1, 0. Capacity 1.
  const RoutingDecision decision = testing::Route(
      testing::DroppingLayer(2, 2, 0.5f), Mode::kTrain,
      Tensor::FromSpan({2, 2}, {1.0f, 0.0f, 0.0f, 1.0f}), GateDraws(), {});
  EXPECT_THAT(decision.expert_ids, ::testing::ElementsAre(0, -1, 1, -1));
  EXPECT_THAT(decision.weights, ::testing::ElementsAre(1.0f, 0.0f, 1.0f, 0.0f));
}

TEST(RouterTest, EvalModeIsDroplessUnlessItHasAFactor) {
  LayerSpec spec = testing::DroppingLayer(1, 2, 1.0f);
  const Tensor logits =
      Tensor::FromSpan({4, 2}, {1.0f, 0, 1.0f, 0, 1.0f, 0, 1.0f, 0});
  const auto kept = [&](Mode mode) {
    return testing::Route(spec, mode, logits, GateDraws(), {}).kept_counts[0];
  };
  EXPECT_EQ(kept(Mode::kTrain), 2);
  EXPECT_EQ(kept(Mode::kEval), 4);
  spec.capacity.eval_capacity_factor = 1.5f;
  EXPECT_EQ(kept(Mode::kEval), 3);
}

TEST(RouterTest, PerfectBalanceGivesAnAuxiliaryLossOfOne) {
  for (const int32_t k : {1, 2, 3, 4}) {
    Tensor logits = Tensor::Zeros({4, 4});
    for (int64_t t = 0; t < 4; ++t) {
      for (int64_t r = 0; r < k; ++r) {
        logits.row(t)[(t + r) % 4] = static_cast<float>(k - r);
      }
    }
    const RoutingDecision decision = testing::Route(
        testing::TestLayer(k, 4), Mode::kTrain, logits, GateDraws(), {});
    EXPECT_NEAR(decision.aux_loss, 1.0f, 1e-6) << "k " << k;
  }
}

}  // namespace
}  // namespace switchyard
