// Routers put together from any parts of a GateSpec, against a float64
// restatement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "common/model/router_presets.h"
#include "gateway/routing/composed_reference.h"
#include "gateway/routing/router.h"
#include "gateway/routing/router_backward.h"
#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using testing::ComposedBatch;
using ::testing::ElementsAre;
using testing::Matrix;
using testing::RandomNormal;
using testing::Row;

const std::vector<bool> kAllUsed;

RoutingDecision RouteWith(const LayerSpec& spec, const Tensor& logits,
                          absl::Span<const float> bias = {},
                          Mode mode = Mode::kTrain,
                          const GateDraws* draws = nullptr,
                          int64_t tokens_per_sequence = 0,
                          absl::Span<const int64_t> step_counts = {}) {
  static const GateDraws& no_draws = *new GateDraws;
  RouterInput input;
  input.logits = logits;
  input.draws = draws == nullptr ? &no_draws : draws;
  input.used_tokens = &kAllUsed;
  input.score_correction_bias = bias;
  input.tokens_per_sequence = tokens_per_sequence;
  input.step_expert_counts = step_counts;
  return RouteTokens(spec, mode, input);
}

template <typename T>
T Pick(std::mt19937_64& random, std::initializer_list<T> values) {
  return *(values.begin() + static_cast<ptrdiff_t>(random() % values.size()));
}

// A random composition of everything that works by top-k.
LayerSpec RandomSpec(std::mt19937_64& random) {
  LayerSpec spec = testing::TestLayer(1, Pick(random, {4, 6, 8, 12}));
  GateSpec& gate = spec.gate;
  gate.k = Pick(random, {1, 2, 3, 4});
  gate.score_function =
      Pick(random, {ScoreFunction::kSoftmax, ScoreFunction::kSigmoid,
                    ScoreFunction::kSqrtSoftplus});
  gate.rank_by = Pick(random, {RankBy::kScores, RankBy::kLogits});
  gate.score_correction_bias = Pick(random, {false, true});
  gate.normalization =
      Pick(random, {WeightNormalization::kDeepSpeed, WeightNormalization::kNone,
                    WeightNormalization::kChosen, WeightNormalization::kKept,
                    WeightNormalization::kChosenSoftmax});
  gate.normalization_floor = Pick(random, {0.0f, 0.6f});
  gate.normalization_epsilon = Pick(random, {0.0f, 0.125f});
  gate.scaling_factor = Pick(random, {1.0f, 2.5f});
  if (Pick(random, {false, true})) {
    gate.group_limit = GroupLimitSpec{
        .num_groups = 2,
        .num_selected_groups = Pick(random, {1, 2}),
        .score = Pick(random, {GroupScore::kMax, GroupScore::kTop2Sum,
                               GroupScore::kTopSum})};
    if (spec.num_experts / 2 * gate.group_limit->num_selected_groups < gate.k) {
      gate.group_limit->num_selected_groups = 2;
    }
  }
  spec.capacity.drop_tokens = Pick(random, {false, true});
  spec.capacity.capacity_factor = 0.75f;
  gate.drop_policy = DropPolicy::kPosition;
  return spec;
}

TEST(ComposedRouterTest, AnyCompositionEqualsTheRestatement) {
  std::mt19937_64 random(2026);
  int num_compared = 0;
  for (int i = 0; i < 600; ++i) {
    const LayerSpec spec = RandomSpec(random);
    ASSERT_OK(Validate([&] {
      LayerSpec valid = spec;
      valid.expert = LinearExpertSpec{};
      return valid;
    }()));
    const Tensor logits = RandomNormal({9, spec.num_experts}, random());
    Tensor bias;
    if (spec.gate.score_correction_bias) {
      bias = RandomNormal({spec.num_experts}, random());
    }
    const RoutingDecision decision = RouteWith(spec, logits, bias.values());
    const Row bias_row(bias.values().begin(), bias.values().end());
    const Matrix rows = testing::ToMatrix(logits);
    for (size_t t = 0; t < rows.size(); ++t) {
      double min_gap = std::numeric_limits<double>::infinity();
      const std::vector<int> chosen =
          testing::ComposedChoice(spec.gate, rows[t], bias_row, min_gap);
      // Float32 may rightly decide otherwise.
      if (min_gap < 1e-5) continue;
      ++num_compared;
      const ComposedBatch batch = {spec.gate, rows, decision};
      const auto got = batch.Part(decision.chosen_ids, t);
      ASSERT_THAT(got, ::testing::ElementsAreArray(chosen))
          << "spec " << i << ", token " << t;
      const auto kept = batch.Part(decision.expert_ids, t);
      const Row weights =
          testing::ComposedWeights(spec.gate, rows[t], got, kept);
      for (size_t r = 0; r < weights.size(); ++r) {
        ASSERT_NEAR(decision.weights[t * weights.size() + r], weights[r],
                    2e-6 * std::max(1.0, weights[r]))
            << "spec " << i << ", token " << t << ", choice " << r;
      }
    }
  }
  EXPECT_GT(num_compared, 5000);
}

struct GradientCase {
  std::string name;
  std::function<void(LayerSpec&)> change;
};
void PrintTo(const GradientCase& c, std::ostream* os) { *os << c.name; }

class ComposedGradientTest : public ::testing::TestWithParam<GradientCase> {};

TEST_P(ComposedGradientTest, EqualsFiniteDifferences) {
  constexpr int64_t kTokens = 12;
  LayerSpec spec = testing::TestLayer(3, 6);
  GetParam().change(spec);
  const Tensor logits = RandomNormal({kTokens, 6}, 5);
  const Tensor bias = RandomNormal({6}, 6);
  const GateDraws draws = DrawForForward(spec, Mode::kTrain, kTokens, 1, 0);
  const std::vector<int64_t> step_counts = {4, 0, 9, 2, 2, 1};
  const RoutingDecision decision = RouteWith(
      spec, logits,
      spec.gate.score_correction_bias ? absl::MakeConstSpan(bias.values())
                                      : absl::Span<const float>(),
      Mode::kTrain, &draws, /*tokens_per_sequence=*/4, step_counts);
  ComposedBatch batch = {spec.gate,   testing::ToMatrix(logits),
                         decision,    4,
                         step_counts, testing::ToMatrix(draws.gaussian)};
  for (size_t i = 0; i < spec.gate.aux_losses.size(); ++i) {
    EXPECT_NEAR(decision.aux_loss_terms[i],
                testing::ComposedTerm(batch, spec.gate.aux_losses[i].kind),
                2e-5)
        << i;
  }
  const Tensor dots = RandomNormal({kTokens, decision.k}, 7);
  const Row dot_row(dots.values().begin(), dots.values().end());
  constexpr float kGradAux = 0.7f;
  // DeepSpeed's loss has tests of its own.
  const float grad_aux = spec.gate.aux_losses.empty() ? 0 : kGradAux;
  const Tensor grad = LogitsGradient(spec, decision, dots.values(), grad_aux);
  constexpr double kStep = 1e-5;
  for (size_t t = 0; t < batch.logits.size(); ++t) {
    for (size_t e = 0; e < 6; ++e) {
      const double saved = batch.logits[t][e];
      batch.logits[t][e] = saved + kStep;
      const double above = testing::ComposedLoss(batch, dot_row, grad_aux);
      batch.logits[t][e] = saved - kStep;
      const double below = testing::ComposedLoss(batch, dot_row, grad_aux);
      batch.logits[t][e] = saved;
      ASSERT_NEAR(grad.row(static_cast<int64_t>(t))[e],
                  (above - below) / (2 * kStep), 2e-5)
          << "token " << t << ", expert " << e;
    }
  }
}

std::vector<GradientCase> GradientCases() {
  std::vector<GradientCase> cases;
  const std::pair<const char*, ScoreFunction> scores[] = {
      {"softmax", ScoreFunction::kSoftmax},
      {"sigmoid", ScoreFunction::kSigmoid},
      {"sqrt_softplus", ScoreFunction::kSqrtSoftplus}};
  const std::pair<const char*, WeightNormalization> normalizations[] = {
      {"deepspeed", WeightNormalization::kDeepSpeed},
      {"none", WeightNormalization::kNone},
      {"chosen", WeightNormalization::kChosen},
      {"kept", WeightNormalization::kKept},
      {"chosen_softmax", WeightNormalization::kChosenSoftmax}};
  const std::pair<const char*, AuxLossKind> losses[] = {
      {"switch", AuxLossKind::kSwitch},
      {"gshard", AuxLossKind::kGShard},
      {"importance", AuxLossKind::kImportance},
      {"load", AuxLossKind::kLoad},
      {"z", AuxLossKind::kZ},
      {"sequence", AuxLossKind::kSequence},
      {"global_batch", AuxLossKind::kGlobalBatch}};
  for (const auto& [score_name, score] : scores) {
    const ScoreFunction score_function = score;
    for (const auto& [name, normalization] : normalizations) {
      const WeightNormalization rule = normalization;
      for (const bool drops : {false, true}) {
        cases.push_back(
            {absl::StrCat(score_name, "_", name, drops ? "_drops" : ""),
             [score_function, rule, drops](LayerSpec& spec) {
               spec.gate.score_function = score_function;
               spec.gate.normalization = rule;
               spec.gate.score_correction_bias = true;
               spec.gate.normalization_epsilon = 0.01f;
               spec.gate.scaling_factor = 1.5f;
               spec.capacity.drop_tokens = drops;
               spec.capacity.capacity_factor = 0.6f;
             }});
      }
    }
    for (const auto& [name, kind] : losses) {
      const AuxLossKind loss = kind;
      cases.push_back({absl::StrCat(score_name, "_loss_", name),
                       [score_function, loss](LayerSpec& spec) {
                         spec.gate.score_function = score_function;
                         spec.gate.normalization = WeightNormalization::kChosen;
                         spec.gate.aux_losses = {
                             {.kind = loss, .coefficient = 2.0f}};
                         if (loss == AuxLossKind::kLoad) {
                           spec.gate.noise_policy = NoisePolicy::kGaussian;
                           spec.gate.gaussian_std = 0.5f;
                         }
                       }});
    }
  }
  cases.push_back({"all_losses", [](LayerSpec& spec) {
                     for (const AuxLossKind kind :
                          {AuxLossKind::kSwitch, AuxLossKind::kZ,
                           AuxLossKind::kImportance, AuxLossKind::kSequence}) {
                       spec.gate.aux_losses.push_back(
                           {.kind = kind, .coefficient = 0.5f});
                     }
                   }});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, ComposedGradientTest,
                         ::testing::ValuesIn(GradientCases()),
                         [](const auto& tested) { return tested.param.name; });

// ---- Traps.

LayerSpec SigmoidLayer(int32_t k, int32_t num_experts) {
  LayerSpec spec = testing::TestLayer(k, num_experts);
  spec.gate.score_function = ScoreFunction::kSigmoid;
  spec.gate.score_correction_bias = true;
  spec.gate.normalization = WeightNormalization::kChosen;
  spec.gate.normalization_epsilon = 1e-20f;
  return spec;
}

TEST(ComposedTrapsTest, ANegativeCorrectionBiasOnlyMovesTheChoice) {
  const Tensor logits = Tensor::FromSpan({1, 4}, {3.0f, 2.0f, 1.0f, 0.0f});
  const std::vector<float> bias = {-2.0f, -1.5f, -1.0f, -0.5f};
  const RoutingDecision decision = RouteWith(SigmoidLayer(2, 4), logits, bias);
  EXPECT_THAT(decision.expert_ids, ElementsAre(3, 2));
  // Of the scores without bias, 0.5 and 0.731, renormalised.
  const double s2 = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(decision.weights[0], 0.5 / (0.5 + s2), 1e-6);
  EXPECT_NEAR(decision.weights[1], s2 / (0.5 + s2), 1e-6);
}

// All biased scores of the best group are negative: zeros of the other group
// win where they may compete, and -inf does not.
TEST(ComposedTrapsTest, AGroupMaskOfZeroCompetesAndOneOfMinusInfinityDoesNot) {
  LayerSpec spec = SigmoidLayer(2, 4);
  spec.gate.group_limit = GroupLimitSpec{
      .num_groups = 2, .num_selected_groups = 1, .score = GroupScore::kTop2Sum};
  const Tensor logits = Tensor::FromSpan({1, 4}, {2.0f, 1.0f, 0.0f, 0.0f});
  const std::vector<float> bias = {-1.0f, -1.0f, -3.0f, -3.0f};
  EXPECT_THAT(RouteWith(spec, logits, bias).expert_ids, ElementsAre(0, 1));
  spec.gate.group_limit->mask_with_zero = true;
  EXPECT_THAT(RouteWith(spec, logits, bias).expert_ids, ElementsAre(2, 3));
}

TEST(ComposedTrapsTest, ScoresThatAllUnderflowGiveFiniteWeights) {
  const Tensor logits =
      Tensor::FromSpan({1, 4}, {-200.0f, -201.0f, -202.0f, -203.0f});
  LayerSpec spec = SigmoidLayer(2, 4);
  const std::vector<float> bias(4, 0.0f);
  EXPECT_EQ(FirstNonFinite(RouteWith(spec, logits, bias).weights), -1);
  // Without the epsilon too.
  spec.gate.normalization_epsilon = 0;
  const RoutingDecision decision = RouteWith(spec, logits, bias);
  EXPECT_THAT(decision.weights, ElementsAre(0.0f, 0.0f));
  const Tensor dots = Tensor::FromSpan({1, 2}, {10.0f, -3.0f});
  EXPECT_EQ(FirstNonFinite(
                LogitsGradient(spec, decision, dots.values(), 1.0f).values()),
            -1);
}

TEST(ComposedTrapsTest, TiedGroupsAndExpertsGoToTheLowest) {
  LayerSpec spec = SigmoidLayer(3, 8);
  spec.gate.group_limit = GroupLimitSpec{
      .num_groups = 4, .num_selected_groups = 2, .score = GroupScore::kTop2Sum};
  const std::vector<float> bias(8, 0.0f);
  EXPECT_THAT(RouteWith(spec, Tensor::Zeros({1, 8}), bias).expert_ids,
              ElementsAre(0, 1, 2));
}

// Without a bias a mask of 0 keeps the second choice in the group as well.
TEST(ComposedTrapsTest, BothChoicesStayInTheSelectedGroups) {
  LayerSpec spec = testing::TestLayer(2, 4);
  spec.gate.group_limit =
      GroupLimitSpec{.num_groups = 2, .mask_with_zero = true};
  const Tensor logits = Tensor::FromSpan({1, 4}, {3.0f, 0.0f, 2.0f, 1.0f});
  EXPECT_THAT(RouteWith(spec, logits).expert_ids, ElementsAre(0, 1));
}

// 0.5 k / selected = 2 of 4 keys: group 1 wins by its two, group 0 by its best.
TEST(ComposedTrapsTest, AGroupsTopSumIsOfKPerSelectedGroup) {
  LayerSpec spec = testing::TestLayer(4, 8);
  spec.gate.rank_by = RankBy::kLogits;
  spec.gate.k = 2;
  spec.gate.group_limit = GroupLimitSpec{
      .num_groups = 2, .num_selected_groups = 1, .score = GroupScore::kTopSum};
  const Tensor logits = Tensor::FromSpan({1, 8}, {4, 0, 0, 0, 3, 2.5f, -9, -9});
  EXPECT_THAT(RouteWith(spec, logits).expert_ids, ElementsAre(4, 5));
}

TEST(ComposedTrapsTest, ABrokenTokensLossesAreNan) {
  for (const AuxLossKind kind :
       {AuxLossKind::kSwitch, AuxLossKind::kZ, AuxLossKind::kImportance}) {
    LayerSpec spec = testing::DroppingLayer(2, 3, 0.5f);
    spec.gate.aux_losses = {{.kind = kind}};
    Tensor logits = RandomNormal({6, 3}, 1);
    logits.row(5)[2] = -std::numeric_limits<float>::infinity();
    EXPECT_TRUE(std::isnan(RouteWith(spec, logits).aux_loss));
  }
}

TEST(ComposedTrapsTest, LargeLogitsDoNotOverflowTheSoftplus) {
  LayerSpec spec = testing::TestLayer(1, 2);
  spec.gate.score_function = ScoreFunction::kSqrtSoftplus;
  const Tensor logits = Tensor::FromSpan({1, 2}, {400.0f, -400.0f});
  EXPECT_FLOAT_EQ(RouteWith(spec, logits).weights[0], 20.0f);
}

TEST(ComposedTrapsTest, WhatCannotBeChosenIsRefusedBefore) {
  const auto expect_refused = [](const std::function<void(LayerSpec&)>& change,
                                 const std::string& message) {
    LayerSpec spec = testing::TestLayer(2, 6);
    spec.expert = LinearExpertSpec{};
    change(spec);
    EXPECT_THAT(Validate(spec),
                testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                  ::testing::HasSubstr(message)));
  };
  expect_refused(
      [](LayerSpec& s) {
        s.gate.group_limit = GroupLimitSpec{.num_groups = 4};
      },
      "num_groups: got 4, expected a divisor of num_experts (6)");
  expect_refused(
      [](LayerSpec& s) {
        s.gate.k = 4;
        s.gate.group_limit = GroupLimitSpec{.num_groups = 2};
      },
      "gate.k: got 4, expected at most 3, the experts in the selected groups");
  expect_refused(
      [](LayerSpec& s) {
        s.gate.selection = Selection::kExpertChoice;
        s.gate.second_expert_random = true;
      },
      "second_expert_random: got true, expected false but with selection");
  expect_refused(
      [](LayerSpec& s) {
        s.gate.second_expert_sampling = true;
        s.gate.score_correction_bias = true;
      },
      "score_correction_bias: got true, expected false where experts are");
  expect_refused(
      [](LayerSpec& s) {
        s.gate.selection = Selection::kSparseMixer;
        s.gate.k = 3;
      },
      "gate.k: got 3, expected 2 with selection SPARSE_MIXER");
}

TEST(ComposedTrapsTest, NoTokensAndBrokenLogitsAreSurvivedByEveryPreset) {
  for (const std::string& name : RouterPresetNames()) {
    LayerSpec spec = testing::TestLayer(1, 256);
    ASSERT_OK_AND_ASSIGN(spec.gate, RouterPreset(name));
    const std::vector<float> bias(256, 0.0f);
    const auto bias_span = spec.gate.score_correction_bias
                               ? absl::MakeConstSpan(bias)
                               : absl::Span<const float>();
    for (const Mode mode : {Mode::kTrain, Mode::kEval}) {
      const GateDraws none = DrawForForward(spec, mode, 0, 0, 0);
      const RoutingDecision empty =
          RouteWith(spec, Tensor::Zeros({0, 256}), bias_span, mode, &none);
      EXPECT_THAT(empty.expert_ids, ::testing::IsEmpty()) << name;
      EXPECT_EQ(empty.aux_loss, 0) << name;

      Tensor logits = RandomNormal({5, 256}, 3);
      logits.row(1)[7] = std::numeric_limits<float>::quiet_NaN();
      logits.row(2)[9] = std::numeric_limits<float>::infinity();
      logits.row(3)[9] = -std::numeric_limits<float>::infinity();
      const GateDraws draws = DrawForForward(spec, mode, 5, 0, 0);
      const RoutingDecision decision =
          RouteWith(spec, logits, bias_span, mode, &draws);
      const size_t k = static_cast<size_t>(decision.k);
      for (const size_t sound : {size_t{0}, size_t{4}}) {
        EXPECT_EQ(
            FirstNonFinite(
                absl::MakeConstSpan(decision.weights).subspan(sound * k, k)),
            -1)
            << name;
      }
      for (const int32_t expert : decision.expert_ids) {
        EXPECT_GE(expert, -1);
        EXPECT_LT(expert, 256);
      }
    }
  }
}

// ---- Selections other than top-k.

// modeling_phimoe.py in float64.
TEST(SparseMixerTest, EvalModeIsPhisOwnFormula) {
  LayerSpec spec = testing::TestLayer(2, 5);
  ASSERT_OK_AND_ASSIGN(spec.gate, RouterPreset("phi-3.5-moe"));
  spec.gate.sparsemixer_epsilon = 0.3f;
  const Tensor logits = RandomNormal({40, 5}, 8);
  const RoutingDecision decision = RouteWith(spec, logits, {}, Mode::kEval);
  for (size_t t = 0; t < 40; ++t) {
    const Row s = testing::ToMatrix(logits)[t];
    int excluded = -1;
    for (size_t r = 0; r < 2; ++r) {
      double best = -std::numeric_limits<double>::infinity();
      int chosen = 0;
      for (size_t e = 0; e < s.size(); ++e) {
        if (static_cast<int>(e) == excluded || s[e] <= best) continue;
        best = s[e];
        chosen = static_cast<int>(e);
      }
      double sum = 0;
      for (size_t e = 0; e < s.size(); ++e) {
        const double scale = std::max(std::fabs(s[e]), best);
        const bool masked = (best - s[e]) / scale > 0.6;
        if (static_cast<int>(e) != excluded && !masked) sum += std::exp(s[e]);
      }
      EXPECT_EQ(decision.expert_ids[2 * t + r], chosen);
      EXPECT_NEAR(decision.weights[2 * t + r],
                  std::exp(s[static_cast<size_t>(chosen)]) / sum, 1e-6);
      excluded = chosen;
    }
  }
}

// In train mode the first choice is drawn from the softmax, and counts a third
// where it is neither the best nor favoured by the uniform draw.
TEST(SparseMixerTest, TrainModeSamplesItsChoices) {
  LayerSpec spec = testing::TestLayer(2, 3);
  ASSERT_OK_AND_ASSIGN(spec.gate, RouterPreset("phi-3.5-moe"));
  spec.gate.sparsemixer_epsilon = 0.9f;
  constexpr int64_t kTokens = 20000;
  Tensor logits = Tensor::Uninitialized({kTokens, 3});
  for (int64_t t = 0; t < kTokens; ++t) {
    logits.row(t)[0] = 1.0f;
    logits.row(t)[1] = 1.5f;
    logits.row(t)[2] = 0.5f;
  }
  const GateDraws draws = DrawForForward(spec, Mode::kTrain, kTokens, 0, 0);
  const RoutingDecision decision =
      RouteWith(spec, logits, {}, Mode::kTrain, &draws);
  const double p0 =
      std::exp(1.0) / (std::exp(1.0) + std::exp(1.5) + std::exp(0.5));
  double num_first = 0, num_in_full = 0;
  for (size_t t = 0; t < kTokens; ++t) {
    if (decision.expert_ids[2 * t] != 0) continue;
    ++num_first;
    if (decision.weights[2 * t] > 0.5 * p0) ++num_in_full;
  }
  // Five standard deviations.
  EXPECT_NEAR(num_first / kTokens, p0, 5 * std::sqrt(p0 * (1 - p0) / kTokens));
  EXPECT_NEAR(num_in_full / num_first, 0.25,
              5 * std::sqrt(0.25 * 0.75 / num_first));
}

// d weight_j = g_j (onehot - g), whatever the factor on it.
TEST(SparseMixerTest, TheGradientLeavesTheFactorOut) {
  LayerSpec spec = testing::TestLayer(2, 3);
  ASSERT_OK_AND_ASSIGN(spec.gate, RouterPreset("phi-3.5-moe"));
  spec.gate.sparsemixer_epsilon = 0.9f;
  const Tensor logits = Tensor::FromSpan({1, 3}, {1.0f, 1.5f, 0.5f});
  GateDraws draws;
  // Chooses expert 0 first, not the best, and not favoured.
  draws.gumbel = Tensor::FromSpan({1, 6}, {9, 0, 0, 0, 0, 0});
  draws.mixer_uniform = Tensor::FromSpan({1, 2}, {0.1f, 0.1f});
  const RoutingDecision decision =
      RouteWith(spec, logits, {}, Mode::kTrain, &draws);
  ASSERT_EQ(decision.expert_ids[0], 0);
  const double sum = std::exp(1.0) + std::exp(1.5) + std::exp(0.5);
  const double g0 = std::exp(1.0) / sum;
  EXPECT_NEAR(decision.weights[0], 0.3333 * g0, 1e-6);
  const std::vector<float> dots = {1.0f, 0.0f};
  const Tensor grad = LogitsGradient(spec, decision, dots, 0);
  EXPECT_NEAR(grad.data()[0], g0 * (1 - g0), 1e-6);
  EXPECT_NEAR(grad.data()[1], -g0 * std::exp(1.5) / sum, 1e-6);
}

TEST(ExpertChoiceTest, EveryExpertTakesItsBestTokens) {
  LayerSpec spec = testing::TestLayer(1, 3);
  spec.gate.selection = Selection::kExpertChoice;
  spec.gate.normalization = WeightNormalization::kNone;
  const Tensor logits = RandomNormal({9, 3}, 4);
  const RoutingDecision decision = RouteWith(spec, logits, {}, Mode::kEval);
  // 9 tokens, k = 1, 3 experts: three tokens each, balanced by construction.
  EXPECT_THAT(decision.expert_counts, ElementsAre(3, 3, 3));
  EXPECT_THAT(decision.kept_counts, ElementsAre(3, 3, 3));
  const Tensor& p = decision.scores;
  for (int32_t e = 0; e < 3; ++e) {
    double least_taken = 2, most_left = -1;
    for (int64_t t = 0; t < 9; ++t) {
      bool taken = false;
      for (int32_t r = 0; r < decision.k; ++r) {
        const size_t entry = static_cast<size_t>(t * decision.k + r);
        if (decision.expert_ids[entry] != e) continue;
        taken = true;
        EXPECT_EQ(decision.weights[entry], p.row(t)[e]);
      }
      double& bound = taken ? least_taken : most_left;
      bound = taken ? std::min<double>(bound, p.row(t)[e])
                    : std::max<double>(bound, p.row(t)[e]);
    }
    EXPECT_GT(least_taken, most_left);
  }
}

TEST(ExpertChoiceTest, TiesGoToTheLowestTokenAndBrokenOnesComeLast) {
  LayerSpec spec = testing::TestLayer(1, 2);
  spec.gate.selection = Selection::kExpertChoice;
  Tensor logits = Tensor::Zeros({4, 2});
  logits.row(0)[0] = std::numeric_limits<float>::quiet_NaN();
  const RoutingDecision decision = RouteWith(spec, logits, {}, Mode::kEval);
  // Two tokens an expert: 1 and 2.
  EXPECT_EQ(decision.k, 2);
  EXPECT_THAT(decision.expert_ids, ElementsAre(-1, -1, 0, 1, 0, 1, -1, -1));
}

TEST(ExpertChoiceTest, ChoosesInEachLocalGroupAndWeighsOverTheChosen) {
  LayerSpec spec = testing::TestLayer(1, 2);
  spec.gate.selection = Selection::kExpertChoice;
  spec.gate.normalization = WeightNormalization::kChosenSoftmax;
  spec.capacity.local_group_tokens = 2;
  const Tensor logits = RandomNormal({6, 2}, 3);
  const RoutingDecision decision = RouteWith(spec, logits, {}, Mode::kEval);
  EXPECT_THAT(decision.kept_counts, ElementsAre(3, 3));
  for (size_t t = 0; t < 6; ++t) {
    double sum = 0;
    int num_routes = 0;
    for (size_t r = 0; r < static_cast<size_t>(decision.k); ++r) {
      const size_t entry = t * static_cast<size_t>(decision.k) + r;
      num_routes += decision.expert_ids[entry] >= 0;
      sum += decision.weights[entry];
    }
    EXPECT_NEAR(sum, num_routes > 0 ? 1 : 0, 1e-6) << t;
  }
}

// ---- Drops.

TEST(LocalGroupsTest, CapacityCountsInEachByItself) {
  LayerSpec spec = testing::DroppingLayer(1, 2, 1.0f);
  spec.capacity.local_group_tokens = 4;
  // All to expert 0; each group of four keeps two.
  Tensor logits = Tensor::Zeros({10, 2});
  for (int64_t t = 0; t < 10; ++t) logits.row(t)[0] = 1.0f;
  const RoutingDecision decision = RouteWith(spec, logits);
  EXPECT_THAT(decision.expert_ids,
              ElementsAre(0, 0, -1, -1, 0, 0, -1, -1, 0, -1));
  EXPECT_THAT(decision.slots, ElementsAre(0, 1, 0, 0, 2, 3, 0, 0, 4, 0));
  EXPECT_THAT(decision.kept_counts, ElementsAre(5, 0));
  EXPECT_EQ(decision.capacity, 2);
  spec.capacity.local_group_tokens = 0;
  spec.capacity.per_sequence = true;
  EXPECT_THAT(RouteWith(spec, logits, {}, Mode::kTrain, nullptr, 5).expert_ids,
              ElementsAre(0, 0, 0, -1, -1, 0, 0, 0, -1, -1));
}

TEST(DropTest, AFixedCapacityTakesTheFactorsPlace) {
  LayerSpec spec = testing::DroppingLayer(1, 2, 1.0f);
  spec.capacity.expert_capacity = 1;
  spec.capacity.eval_expert_capacity = 3;
  const Tensor logits = Tensor::Zeros({5, 2});
  EXPECT_THAT(RouteWith(spec, logits).kept_counts, ElementsAre(1, 0));
  EXPECT_THAT(RouteWith(spec, logits, {}, Mode::kEval).kept_counts,
              ElementsAre(3, 0));
}

// NLLB: ceil(fraction * tokens) in float64, where the fraction is the decimal
// that was meant. 0.3f * 50 in float32 would give 16.
TEST(DropTest, AnEvalTokenFractionIsTakenOfAllTokens) {
  LayerSpec spec = testing::DroppingLayer(1, 2, 1.0f);
  spec.capacity.eval_token_fraction = 0.3f;
  EXPECT_EQ(RouteWith(spec, Tensor::Zeros({50, 2}), {}, Mode::kEval).capacity,
            15);
}

// V-MoE: the most certain tokens keep their places.
TEST(DropTest, PriorityServesTheTokensOfLargestScoreFirst) {
  LayerSpec spec = testing::DroppingLayer(1, 2, 0.5f);
  spec.gate.drop_policy = DropPolicy::kPriority;
  const Tensor logits = Tensor::FromSpan(
      {4, 2}, {1.0f, 0.0f, 3.0f, 0.0f, 2.0f, 0.0f, 0.5f, 0.0f});
  EXPECT_THAT(RouteWith(spec, logits).expert_ids, ElementsAre(-1, 0, -1, -1));
}

// GShard: the second route stays with probability min(1, 2 w).
TEST(DropTest, SecondExpertsAreKeptInProportionToTheirWeight) {
  LayerSpec spec = testing::TestLayer(2, 2);
  ASSERT_OK_AND_ASSIGN(spec.gate, RouterPreset("gshard"));
  constexpr int64_t kTokens = 20000;
  Tensor logits = Tensor::Uninitialized({kTokens, 2});
  for (int64_t t = 0; t < kTokens; ++t) {
    logits.row(t)[0] = 1.5f;
    logits.row(t)[1] = 0.0f;
  }
  const GateDraws draws = DrawForForward(spec, Mode::kTrain, kTokens, 0, 0);
  const RoutingDecision decision =
      RouteWith(spec, logits, {}, Mode::kTrain, &draws);
  const double expected = 2 / (1 + std::exp(1.5));
  EXPECT_EQ(decision.expert_counts[1], kTokens);
  EXPECT_NEAR(static_cast<double>(decision.kept_counts[1]) / kTokens, expected,
              5 * std::sqrt(expected * (1 - expected) / kTokens));
  // In eval mode all are kept.
  EXPECT_EQ(RouteWith(spec, logits, {}, Mode::kEval).kept_counts[1], kTokens);
}

TEST(NoiseTest, GaussianNoiseHasItsMoments) {
  LayerSpec spec = testing::TestLayer(1, 7);
  spec.gate.noise_policy = NoisePolicy::kGaussian;
  spec.gate.gaussian_std = 0.5f;
  const Tensor noise = DrawForForward(spec, Mode::kTrain, 20000, 0, 0).gaussian;
  double mean = 0, variance = 0;
  const double n = static_cast<double>(noise.num_elements());
  for (const float v : noise.values()) mean += v / n;
  for (const float v : noise.values()) variance += (v - mean) * (v - mean) / n;
  EXPECT_NEAR(mean, 0, 5 * 0.5 / std::sqrt(n));
  EXPECT_NEAR(variance, 0.25, 5 * 0.25 * std::sqrt(2 / n));
}

// ---- Losses.

TEST(AuxLossesTest, HaveTheirValuesAtBalance) {
  LayerSpec spec = testing::TestLayer(2, 4);
  for (const AuxLossKind kind :
       {AuxLossKind::kSwitch, AuxLossKind::kGShard, AuxLossKind::kSequence,
        AuxLossKind::kGlobalBatch, AuxLossKind::kImportance}) {
    spec.gate.aux_losses.push_back({.kind = kind});
  }
  // Each expert is first choice once and second choice once.
  Tensor logits = Tensor::Zeros({4, 4});
  for (int64_t t = 0; t < 4; ++t) {
    logits.row(t)[t] = 2.0f;
    logits.row(t)[(t + 1) % 4] = 1.0f;
  }
  EXPECT_THAT(RouteWith(spec, logits).aux_loss_terms,
              ::testing::Pointwise(::testing::FloatNear(1e-6f),
                                   {1.0f, 1.0f, 1.0f, 1.0f, 0.0f}));
}

// transformers' load_balancing_loss_func: slots count by themselves.
TEST(AuxLossesTest, HuggingFacesIsKTimesSwitch) {
  constexpr int32_t kExperts = 6, kChoices = 3;
  LayerSpec spec = testing::TestLayer(kChoices, kExperts);
  spec.gate.aux_losses = {{.kind = AuxLossKind::kSwitch}};
  const Tensor logits = RandomNormal({17, kExperts}, 9);
  const RoutingDecision decision = RouteWith(spec, logits);
  double hugging_face = 0;
  for (int32_t r = 0; r < kChoices; ++r) {
    for (int32_t e = 0; e < kExperts; ++e) {
      double tokens_per_expert = 0, probability = 0;
      for (int64_t t = 0; t < 17; ++t) {
        tokens_per_expert +=
            decision.chosen_ids[static_cast<size_t>(t * kChoices + r)] == e;
        probability += decision.scores.row(t)[e];
      }
      hugging_face += tokens_per_expert / 17 * probability / 17 * kExperts;
    }
  }
  EXPECT_NEAR(decision.aux_loss_terms[0] * kChoices, hugging_face, 1e-5);
}

TEST(AuxLossesTest, UnusedTokensTakeNoPart) {
  LayerSpec spec = testing::TestLayer(1, 3);
  spec.gate.aux_losses = {{.kind = AuxLossKind::kSwitch},
                          {.kind = AuxLossKind::kZ}};
  const Tensor all = RandomNormal({6, 3}, 2);
  const Tensor some = Tensor::FromSpan({4, 3}, all.values().subspan(0, 12));
  const std::vector<bool> used = {true, true, true, true, false, false};
  const GateDraws draws;
  RouterInput input;
  input.logits = all;
  input.draws = &draws;
  input.used_tokens = &used;
  EXPECT_THAT(RouteTokens(spec, Mode::kTrain, input).aux_loss_terms,
              ::testing::Pointwise(::testing::FloatNear(1e-6f),
                                   RouteWith(spec, some).aux_loss_terms));
}

}  // namespace
}  // namespace switchyard
