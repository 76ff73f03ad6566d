// Rules of the router that no other test would miss.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "gateway/routing/router_backward.h"
#include "gateway/routing/routing_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Ne;

TEST(PriorityDrop, FillsAllFirstChoicesBeforeLaterOnesAboveTwoChoices) {
  LayerSpec spec = DroppingLayer(3, 4, 1.0f);
  spec.capacity.expert_capacity = 1;
  spec.gate.drop_policy = DropPolicy::kPriority;
  // Token 2 is served first, token 0 last; token 1's first choice is the third
  // of both others.
  const Tensor logits =
      Tensor::FromSpan({3, 4}, {0.2f, 0.1f, 0, -9, 1, 0, 2, -9, 9, 5, 1, -9});
  const RoutingDecision decision = Route(spec, Mode::kTrain, logits);
  EXPECT_THAT(decision.expert_ids,
              ElementsAre(-1, -1, -1, 2, -1, -1, 0, 1, -1));
}

TEST(LocalGroups, TheirLossesAreAveragedByTokens) {
  LayerSpec spec = TestLayer(3, 4);
  const Tensor logits = RandomNormal({5, 4}, 3);
  double expected = 0;
  for (const int64_t begin : {0, 2, 4}) {
    const int64_t size = std::min<int64_t>(2, 5 - begin);
    const ConstMatrix group(logits.row(begin), size, 4);
    expected += static_cast<double>(size) / 5 *
                double{Route(spec, Mode::kTrain, group).aux_loss};
  }
  spec.capacity.local_group_tokens = 2;
  EXPECT_NEAR(Route(spec, Mode::kTrain, logits).aux_loss, expected, 1e-6);
}

TEST(RouterBackward, UnusedTokensGetNoGradientFromNamedLosses) {
  LayerSpec spec = TestLayer(1, 3);
  spec.gate.aux_losses = {{.kind = AuxLossKind::kSwitch}};
  const Tensor logits = RandomNormal({2, 3}, 5);
  const RoutingDecision decision =
      Route(spec, Mode::kTrain, logits, GateDraws(), {true, false});
  const std::vector<float> no_gradients(2, 0.0f);
  const Tensor gradient =
      LogitsGradient(spec, decision, no_gradients, /*grad_aux_loss=*/1.0f);
  EXPECT_THAT(gradient.row(0)[0], Ne(0.0f));
  for (int64_t e = 0; e < 3; ++e) EXPECT_EQ(gradient.row(1)[e], 0.0f);
}

}  // namespace
}  // namespace switchyard::testing
