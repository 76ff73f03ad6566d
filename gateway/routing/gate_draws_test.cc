#include "gateway/routing/gate_draws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gateway/routing/router.h"
#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using ::testing::ElementsAreArray;

LayerSpec NoisyLayer() {
  LayerSpec spec = testing::DroppingLayer(1, 5, 1.0f);
  spec.hidden_size = 6;
  spec.seed = 17;
  spec.gate.use_rts = true;
  spec.gate.noise_policy = NoisePolicy::kRSample;
  return spec;
}

struct Moments {
  double mean = 0;
  double variance = 0;
};

Moments MomentsOf(const Tensor& t) {
  const double n = static_cast<double>(t.num_elements());
  Moments m;
  for (const float v : t.values()) m.mean += v / n;
  for (const float v : t.values())
    m.variance += (v - m.mean) * (v - m.mean) / n;
  return m;
}

TEST(GateDrawsTest, DrawsOnlyWhatThePolicyNeeds) {
  struct Case {
    int32_t k;
    NoisePolicy policy;
    bool use_rts, sampling, drop_tokens, eval_factor;
    Mode mode;
    bool jitter, gumbel, rts;
  };
  constexpr auto kNone = NoisePolicy::kNone;
  constexpr auto kJitter = NoisePolicy::kJitter;
  constexpr auto kRSample = NoisePolicy::kRSample;
  const Case cases[] = {
      {1, kNone, false, false, true, true, Mode::kTrain, false, false, false},
      {1, kJitter, false, false, true, true, Mode::kTrain, true, false, false},
      {1, kJitter, false, false, true, true, Mode::kEval, false, false, false},
      {4, kJitter, true, true, true, true, Mode::kTrain, true, false, false},
      {1, kRSample, false, false, true, true, Mode::kTrain, false, true, false},
      {1, kRSample, false, false, true, true, Mode::kEval, false, false, false},
      {2, kRSample, false, false, true, true, Mode::kTrain, false, false,
       false},
      {2, kNone, true, true, true, true, Mode::kTrain, false, true, false},
      {2, kNone, true, true, true, true, Mode::kEval, false, false, false},
      {3, kRSample, true, true, true, true, Mode::kTrain, false, false, false},
      {1, kNone, true, true, true, false, Mode::kTrain, false, false, true},
      {1, kNone, true, true, false, true, Mode::kTrain, false, false, false},
      {1, kNone, true, true, false, true, Mode::kEval, false, false, true},
      {1, kNone, true, true, true, false, Mode::kEval, false, false, false},
  };
  for (const Case& c : cases) {
    LayerSpec spec = NoisyLayer();
    spec.gate.k = c.k;
    spec.gate.noise_policy = c.policy;
    spec.gate.use_rts = c.use_rts;
    spec.gate.second_expert_sampling = c.sampling;
    spec.capacity.drop_tokens = c.drop_tokens;
    if (c.eval_factor) spec.capacity.eval_capacity_factor = 1.0f;
    const GateDraws draws = DrawForForward(spec, c.mode, 3, 0, 0);
    const auto idx = &c - cases;
    EXPECT_EQ(draws.jitter.num_elements(), c.jitter ? 18 : 0) << idx;
    EXPECT_EQ(draws.gumbel.num_elements(), c.gumbel ? 15 : 0) << idx;
    EXPECT_EQ(draws.rts_uniform.num_elements(), c.rts ? 15 : 0) << idx;
  }
}

TEST(GateDrawsTest, TheSameKeyDrawsTheSameNumbers) {
  const LayerSpec spec = NoisyLayer();
  const GateDraws a = DrawForForward(spec, Mode::kTrain, 9, 4, 2);
  const GateDraws b = DrawForForward(spec, Mode::kTrain, 9, 4, 2);
  EXPECT_THAT(a.gumbel.values(), ElementsAreArray(b.gumbel.values()));
  EXPECT_THAT(a.rts_uniform.values(), ElementsAreArray(b.rts_uniform.values()));
}

TEST(GateDrawsTest, EveryPartOfTheKeyChangesTheNumbers) {
  const LayerSpec spec = NoisyLayer();
  LayerSpec other_name = spec, other_seed = spec;
  other_name.name += "2";
  ++other_seed.seed;
  const Tensor gumbel = DrawForForward(spec, Mode::kTrain, 1, 4, 2).gumbel;
  const auto differs = [&gumbel](const LayerSpec& layer, uint64_t step,
                                 uint32_t microbatch) {
    const Tensor other =
        DrawForForward(layer, Mode::kTrain, 1, step, microbatch).gumbel;
    return gumbel.values() != other.values();
  };
  EXPECT_FALSE(differs(spec, 4, 2));
  EXPECT_TRUE(differs(spec, 5, 2));
  EXPECT_TRUE(differs(spec, 4, 3));
  EXPECT_TRUE(differs(other_name, 4, 2));
  EXPECT_TRUE(differs(other_seed, 4, 2));
}

TEST(GateDrawsTest, ATokensNumbersDoNotDependOnHowManyTokensThereAre) {
  LayerSpec spec = NoisyLayer();
  const GateDraws many = DrawForForward(spec, Mode::kTrain, 50, 1, 0);
  spec.gate.noise_policy = NoisePolicy::kJitter;
  const Tensor jitter = DrawForForward(spec, Mode::kTrain, 50, 1, 0).jitter;
  for (int64_t tokens = 0; tokens < 50; tokens += 7) {
    spec.gate.noise_policy = NoisePolicy::kRSample;
    const GateDraws few = DrawForForward(spec, Mode::kTrain, tokens, 1, 0);
    const size_t n = static_cast<size_t>(tokens) * 5;
    EXPECT_EQ(few.gumbel.values(), many.gumbel.values().subspan(0, n));
    EXPECT_EQ(few.rts_uniform.values(),
              many.rts_uniform.values().subspan(0, n));
    spec.gate.noise_policy = NoisePolicy::kJitter;
    EXPECT_EQ(DrawForForward(spec, Mode::kTrain, tokens, 1, 0).jitter.values(),
              jitter.values().subspan(0, static_cast<size_t>(tokens) * 6));
  }
}

// Error bounds below are five standard deviations of the estimate.

TEST(GateDrawsTest, GumbelNoiseHasTheMomentsOfTheGumbelDistribution) {
  const Tensor gumbel =
      DrawForForward(NoisyLayer(), Mode::kTrain, 80000, 0, 0).gumbel;
  EXPECT_EQ(FirstNonFinite(gumbel.values()), -1);
  const Moments m = MomentsOf(gumbel);
  const double n = static_cast<double>(gumbel.num_elements());
  const double variance = M_PI * M_PI / 6;
  EXPECT_NEAR(m.mean, 0.5772156649, 5 * std::sqrt(variance / n));
  // The Gumbel distribution's kurtosis is 5.4.
  EXPECT_NEAR(m.variance, variance, 5 * variance * std::sqrt(4.4 / n));
}

TEST(GateDrawsTest, JitterIsUniformWithinOnePercent) {
  LayerSpec spec = NoisyLayer();
  spec.gate.noise_policy = NoisePolicy::kJitter;
  const Tensor jitter = DrawForForward(spec, Mode::kTrain, 50000, 0, 0).jitter;
  for (const float v : jitter.values()) {
    ASSERT_GE(v, 0.99f);
    ASSERT_LE(v, 1.01f);
  }
  const Moments m = MomentsOf(jitter);
  const double n = static_cast<double>(jitter.num_elements());
  const double variance = 0.02 * 0.02 / 12;
  EXPECT_NEAR(m.mean, 1.0, 5 * std::sqrt(variance / n));
  // The uniform distribution's kurtosis is 1.8.
  EXPECT_NEAR(m.variance, variance, 5 * variance * std::sqrt(0.8 / n));
}

TEST(GateDrawsTest, RandomTokenSelectionDrawsAreUniform) {
  const Tensor u =
      DrawForForward(NoisyLayer(), Mode::kTrain, 50000, 0, 0).rts_uniform;
  for (const float v : u.values()) {
    ASSERT_GT(v, 0.0f);
    ASSERT_LT(v, 1.0f);
  }
  const Moments m = MomentsOf(u);
  const double n = static_cast<double>(u.num_elements());
  EXPECT_NEAR(m.mean, 0.5, 5 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(m.variance, 1.0 / 12, 5.0 / 12 * std::sqrt(0.8 / n));
}

constexpr int64_t kNumSamples = 40000;
constexpr float kSampledLogits[] = {1.0f, 0.0f, -1.0f, 0.5f, -2.0f};

Tensor RepeatedLogits() {
  Tensor logits = Tensor::Uninitialized({kNumSamples, 5});
  for (int64_t token = 0; token < kNumSamples; ++token) {
    std::copy_n(kSampledLogits, 5, logits.row(token));
  }
  return logits;
}

void ExpectFrequency(int64_t count, double p) {
  const double n = static_cast<double>(kNumSamples);
  EXPECT_NEAR(static_cast<double>(count) / n, p,
              5 * std::sqrt(p * (1 - p) / n));
}

TEST(GateDrawsTest, RSampleChoosesExpertsAsOftenAsTheSoftmaxSays) {
  LayerSpec spec = testing::TestLayer(1, 5);
  spec.gate.noise_policy = NoisePolicy::kRSample;
  const Tensor logits = RepeatedLogits();
  const RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, logits,
                     DrawForForward(spec, Mode::kTrain, kNumSamples, 0, 0), {});
  for (size_t e = 0; e < 5; ++e) {
    ExpectFrequency(decision.expert_counts[e], decision.scores.values()[e]);
  }
}

TEST(GateDrawsTest, TheSecondExpertIsDrawnFromWhatTheFirstLeaves) {
  LayerSpec spec = testing::TestLayer(2, 5);
  spec.gate.second_expert_sampling = true;
  const Tensor logits = RepeatedLogits();
  const RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, logits,
                     DrawForForward(spec, Mode::kTrain, kNumSamples, 0, 0), {});
  EXPECT_EQ(decision.expert_counts[0], kNumSamples);
  const auto p = decision.scores.values();
  for (size_t e = 1; e < 5; ++e) {
    ExpectFrequency(decision.expert_counts[e], p[e] / (1.0 - p[0]));
  }
}

}  // namespace
}  // namespace switchyard
