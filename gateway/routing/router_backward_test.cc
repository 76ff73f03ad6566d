#include "gateway/routing/router_backward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>

#include "gateway/routing/routing_testing.h"

namespace switchyard {
namespace {

using testing::Matrix;
using testing::RandomNormal;
using testing::ReferenceRouting;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Case {
  const char* name;
  int32_t k;
  // 0: dropless.
  float capacity_factor;
  float grad_aux_loss;
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

class RouterBackwardTest : public ::testing::TestWithParam<Case> {};

// The loss whose gradient LogitsGradient claims to be, in float64, with the
// decision's routes and fractions held fixed.
double Loss(const RoutingDecision& decision, const Matrix& logits,
            const Tensor& dots, float grad_aux_loss) {
  ReferenceRouting routing;
  routing.probabilities = testing::ReferenceSoftmax(logits);
  const size_t k = static_cast<size_t>(decision.k);
  for (size_t t = 0; t < logits.size(); ++t) {
    const auto begin =
        decision.expert_ids.begin() + static_cast<std::ptrdiff_t>(t * k);
    routing.expert_ids.emplace_back(begin, begin + decision.k);
  }
  testing::ReferenceWeights(routing);
  double loss = 0;
  for (size_t t = 0; t < logits.size(); ++t) {
    for (size_t r = 0; r < k; ++r) {
      if (routing.expert_ids[t][r] < 0) continue;
      loss += routing.weights[t][r] * dots.values()[t * k + r];
    }
    for (size_t e = 0; e < logits[t].size(); ++e) {
      loss += grad_aux_loss * decision.aux_term_slopes[0].slopes[e] *
              routing.probabilities[t][e];
    }
  }
  return loss;
}

// A step of 1e-4 leaves an error of about 1e-8 of the third derivative; the
// tolerance is float32's.
void ExpectGradient(const RoutingDecision& decision, const Tensor& logits,
                    const Tensor& dots, float grad_aux_loss,
                    const Tensor& grad) {
  constexpr double kStep = 1e-4;
  Matrix moved = testing::ToMatrix(logits);
  for (size_t t = 0; t < moved.size(); ++t) {
    for (size_t e = 0; e < moved[t].size(); ++e) {
      const double saved = moved[t][e];
      moved[t][e] = saved + kStep;
      const double above = Loss(decision, moved, dots, grad_aux_loss);
      moved[t][e] = saved - kStep;
      const double below = Loss(decision, moved, dots, grad_aux_loss);
      moved[t][e] = saved;
      ASSERT_NEAR(grad.row(static_cast<int64_t>(t))[e],
                  (above - below) / (2 * kStep), 2e-6)
          << "token " << t << ", expert " << e;
    }
  }
}

TEST_P(RouterBackwardTest, EqualsFiniteDifferences) {
  const Case& c = GetParam();
  constexpr int64_t kTokens = 14;
  LayerSpec spec = c.capacity_factor > 0
                       ? testing::DroppingLayer(c.k, 6, c.capacity_factor)
                       : testing::TestLayer(c.k, 6);
  const Tensor logits = RandomNormal({kTokens, 6}, 11);
  const RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, logits, GateDraws(), {});
  const bool has_drops = std::count(decision.expert_ids.begin(),
                                    decision.expert_ids.end(), -1) > 0;
  ASSERT_EQ(has_drops, c.capacity_factor > 0);
  // What stands where a route was dropped must not matter.
  Tensor dots = RandomNormal({kTokens, c.k}, 12);
  for (size_t r = 0; r < decision.expert_ids.size(); ++r) {
    if (decision.expert_ids[r] < 0) dots.values()[r] = kNan;
  }
  const Tensor grad =
      LogitsGradient(spec, decision, dots.values(), c.grad_aux_loss);
  ExpectGradient(decision, logits, dots, c.grad_aux_loss, grad);
}

INSTANTIATE_TEST_SUITE_P(
    Gates, RouterBackwardTest,
    ::testing::Values(Case{"Top1", 1, 0, 0}, Case{"Top1Aux", 1, 0, 0.7f},
                      Case{"Top1Drops", 1, 0.5f, 0.7f}, Case{"Top2", 2, 0, 0},
                      Case{"Top2Aux", 2, 0, 0.7f},
                      Case{"Top2Drops", 2, 0.5f, 0.7f}, Case{"Top4", 4, 0, 0},
                      Case{"Top4Aux", 4, 0, 0.7f},
                      Case{"Top4Drops", 4, 0.5f, 0.7f},
                      Case{"Top6Drops", 6, 0.3f, 0.7f}),
    [](const ::testing::TestParamInfo<Case>& tested) {
      return std::string(tested.param.name);
    });

TEST(RouterBackwardEdgeTest, ASingleSurvivingChoiceSendsNoTaskGradient) {
  const LayerSpec spec = testing::TestLayer(2, 3);
  const Tensor logits = RandomNormal({1, 3}, 1);
  RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, logits, GateDraws(), {});
  decision.expert_ids[1] = -1;
  decision.weights = {1.0f, 0.0f};
  const Tensor grad = LogitsGradient(spec, decision, {3.0f, 4.0f}, 0.0f);
  EXPECT_THAT(grad.values(), ::testing::Each(0.0f));
}

TEST(RouterBackwardEdgeTest, BelowTheClampTheDivisorIsConstant) {
  const LayerSpec spec = testing::TestLayer(2, 3);
  // Expert 1 underflows to about 1e-9; only it is kept.
  const Tensor logits = Tensor::FromSpan({1, 3}, {0.0f, -20.7f, -30.0f});
  RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, logits, GateDraws(), {});
  decision.expert_ids = {-1, 1};
  const float p = decision.scores.values()[1];
  const float epsilon = std::numeric_limits<float>::epsilon();
  decision.weights = {0.0f, p / epsilon};
  ASSERT_LT(p, epsilon);
  const Tensor grad = LogitsGradient(spec, decision, {0.0f, 2.0f}, 0.0f);
  // d (p / epsilon * 2) / d l_1 = 2 p (1 - p) / epsilon.
  EXPECT_NEAR(grad.values()[1], 2 * p / epsilon, 1e-6);
  EXPECT_NEAR(grad.values()[0], -2 * p / epsilon, 1e-6);
}

TEST(RouterBackwardEdgeTest, UnusedTokensSendTheAuxiliaryGradientOnly) {
  const LayerSpec spec = testing::TestLayer(1, 4);
  const Tensor logits = RandomNormal({3, 4}, 1);
  const RoutingDecision decision = testing::Route(
      spec, Mode::kTrain, logits, GateDraws(), {true, false, true});
  const Tensor dots = RandomNormal({3, 1}, 2);
  const Tensor task = LogitsGradient(spec, decision, dots.values(), 0.0f);
  EXPECT_THAT(task.values().subspan(4, 4), ::testing::Each(0.0f));
  EXPECT_THAT(task.values().subspan(0, 4),
              ::testing::Each(::testing::Ne(0.0f)));
  ExpectGradient(decision, logits, dots, 0.5f,
                 LogitsGradient(spec, decision, dots.values(), 0.5f));
}

TEST(RouterBackwardEdgeTest, NoTokensGiveAnEmptyGradient) {
  const LayerSpec spec = testing::TestLayer(2, 4);
  const RoutingDecision decision = testing::Route(
      spec, Mode::kTrain, Tensor::Zeros({0, 4}), GateDraws(), {});
  const Tensor grad = LogitsGradient(spec, decision, {}, 1.0f);
  EXPECT_THAT(grad.shape(), ::testing::ElementsAre(0, 4));
}

TEST(RouterBackwardEdgeTest, ABrokenTokensGradientIsNanInItsRowAlone) {
  const LayerSpec spec = testing::TestLayer(2, 4);
  Tensor logits = RandomNormal({3, 4}, 1);
  logits.row(1)[2] = kNan;
  const RoutingDecision decision =
      testing::Route(spec, Mode::kTrain, logits, GateDraws(), {});
  const Tensor dots = RandomNormal({3, 2}, 2);
  const Tensor grad = LogitsGradient(spec, decision, dots.values(), 0.1f);
  for (int64_t t = 0; t < 3; ++t) {
    for (int64_t e = 0; e < 4; ++e) {
      EXPECT_EQ(std::isnan(grad.row(t)[e]), t == 1) << t << ", " << e;
    }
  }
}

}  // namespace
}  // namespace switchyard
