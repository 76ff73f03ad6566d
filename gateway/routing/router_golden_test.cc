// The router against DeepSpeed's own answers: tests/golden/README.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "common/base/status_testing.h"
#include "common/testing/golden_case.h"
#include "gateway/routing/router.h"
#include "gateway/routing/router_backward.h"

namespace switchyard {
namespace {

using testing::GoldenArrays;
using testing::GoldenCase;

// Relative to the largest value of the array, as tests/golden/README.md says.
struct Tolerance {
  double absolute;
  double relative;
};
constexpr Tolerance kForward = {0, 1e-6};
constexpr Tolerance kGradient = {2e-6, 2e-5};

void ExpectNear(absl::Span<const float> got, absl::Span<const float> expected,
                Tolerance tolerance, const std::string& name) {
  ASSERT_EQ(got.size(), expected.size()) << name;
  double max = 0;
  for (const float v : expected) max = std::max(max, std::abs(double{v}));
  const double bound = tolerance.absolute + tolerance.relative * max;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], bound) << name << " at " << i;
  }
}

LayerSpec SpecOf(const nlohmann::json& params) {
  const auto flag = [&params](const char* name) {
    return params.contains(name) && params[name].is_boolean() &&
           params[name].get<bool>();
  };
  LayerSpec spec;
  spec.name = "golden";
  spec.hidden_size = 1;
  spec.num_experts = params["experts"].get<int32_t>();
  spec.gate.k = params["k"].get<int32_t>();
  spec.gate.use_rts = flag("use_rts");
  spec.gate.second_expert_sampling = flag("top2_2nd_expert_sampling");
  if (params.contains("drop_policy") && params["drop_policy"] == "position") {
    spec.gate.drop_policy = DropPolicy::kPosition;
  }
  spec.capacity.capacity_factor = params["capacity_factor"].get<float>();
  spec.capacity.min_capacity = params["min_capacity"].get<int64_t>();
  spec.capacity.drop_tokens = flag("drop_tokens");
  return spec;
}

std::vector<bool> UsedTokens(const GoldenArrays& arrays) {
  std::vector<bool> used;
  if (!arrays.Has("used_token")) return used;
  for (const int64_t u : arrays.Integers("used_token")) used.push_back(u != 0);
  return used;
}

RoutingDecision Route(const GoldenCase& golden, const GoldenArrays& arrays) {
  GateDraws draws;
  draws.gumbel = arrays.FloatsOrEmpty("gumbel");
  draws.rts_uniform = arrays.FloatsOrEmpty("rts_uniform");
  const Tensor logits = arrays.Floats("logits");
  const std::vector<bool> used_tokens = UsedTokens(arrays);
  RouterInput input;
  input.logits = logits;
  input.draws = &draws;
  input.used_tokens = &used_tokens;
  return RouteTokens(SpecOf(golden.params()), Mode::kTrain, input);
}

// [tokens * k] out of the cases' [k, tokens].
template <typename T>
std::vector<T> TokenMajor(absl::Span<const T> choice_major, size_t k) {
  const size_t num_tokens = choice_major.size() / k;
  std::vector<T> values;
  for (size_t t = 0; t < num_tokens; ++t) {
    for (size_t r = 0; r < k; ++r) {
      values.push_back(choice_major[r * num_tokens + t]);
    }
  }
  return values;
}

std::vector<int64_t> Widen(const std::vector<int32_t>& values) {
  return {values.begin(), values.end()};
}

void ExpectRoutes(const RoutingDecision& decision, const GoldenArrays& arrays) {
  const size_t k = static_cast<size_t>(decision.k);
  EXPECT_EQ(Widen(decision.expert_ids),
            TokenMajor<int64_t>(arrays.Integers("route_expert"), k));
  EXPECT_EQ(Widen(decision.slots),
            TokenMajor<int64_t>(arrays.Integers("route_slot"), k));
  const Tensor gates = arrays.Floats("route_gate");
  ExpectNear(decision.weights, TokenMajor<float>(gates.values(), k), kForward,
             "route_gate");
}

// [tokens, experts, capacity], as DeepSpeed's dense dispatch has it.
void ExpectCombineWeights(const RoutingDecision& decision,
                          const GoldenArrays& arrays) {
  const Tensor expected = arrays.Floats("combine_weights");
  Tensor combine = Tensor::Zeros(expected.shape());
  const int64_t num_experts = expected.shape()[1];
  const int64_t capacity = expected.shape()[2];
  ASSERT_EQ(capacity, decision.capacity);
  for (size_t r = 0; r < decision.expert_ids.size(); ++r) {
    if (decision.expert_ids[r] < 0) continue;
    const int64_t token = static_cast<int64_t>(r) / decision.k;
    const int64_t row = token * num_experts + decision.expert_ids[r];
    combine.row(row)[decision.slots[r]] = decision.weights[r];
  }
  ExpectNear(combine.values(), expected.values(), kForward, "combine_weights");
  const std::vector<int64_t> mask = arrays.Integers("dispatch_mask");
  ASSERT_EQ(mask.size(), combine.values().size());
  for (size_t i = 0; i < mask.size(); ++i) {
    ASSERT_EQ(combine.values()[i] != 0.0f, mask[i] != 0)
        << "dispatch_mask at " << i;
  }
}

void ExpectCounts(const RoutingDecision& decision, const GoldenArrays& arrays) {
  EXPECT_EQ(decision.capacity, arrays.Integer("capacity"));
  EXPECT_EQ(decision.expert_counts, arrays.Integers("exp_counts"));
  const float aux_loss = arrays.Float("l_aux");
  ExpectNear({&decision.aux_loss, 1}, {&aux_loss, 1}, kForward, "l_aux");
}

class GatingGoldenTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GatingGoldenTest, RoutesAsDeepSpeedDoes) {
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  const RoutingDecision decision = Route(GetParam(), arrays);
  ExpectCounts(decision, arrays);
  ExpectRoutes(decision, arrays);
  if (arrays.Has("combine_weights")) ExpectCombineWeights(decision, arrays);
}

TEST_P(GatingGoldenTest, SendsDeepSpeedsGradientToTheLogits) {
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  const RoutingDecision decision = Route(GetParam(), arrays);
  const Tensor g_route = arrays.Floats("g_route");
  const Tensor grad = LogitsGradient(
      SpecOf(GetParam().params()), decision,
      TokenMajor<float>(g_route.values(), static_cast<size_t>(decision.k)),
      GetParam().entry["alpha"].get<float>());
  const Tensor expected = arrays.Floats("grad_logits");
  ExpectNear(grad.values(), expected.values(), kGradient, "grad_logits");
}

class GatingInvariantsGoldenTest : public ::testing::TestWithParam<GoldenCase> {
};

TEST_P(GatingInvariantsGoldenTest, KeepsAsManyTokensAsDeepSpeed) {
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  const RoutingDecision decision = Route(GetParam(), arrays);
  ExpectCounts(decision, arrays);
  EXPECT_EQ(decision.kept_counts, arrays.Integers("kept_counts"));
  const std::vector<int64_t> experts = arrays.Integers("token_expert");
  const Tensor gates = arrays.Floats("token_gate_if_kept");
  for (size_t t = 0; t < experts.size(); ++t) {
    if (decision.expert_ids[t] < 0) continue;
    EXPECT_EQ(decision.expert_ids[t], experts[t]) << "token " << t;
    ExpectNear({&decision.weights[t], 1}, {&gates.values()[t], 1}, kForward,
               "token_gate_if_kept");
  }
}

std::string CaseName(const ::testing::TestParamInfo<GoldenCase>& tested) {
  std::string name = tested.param.name;
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; },
      '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Golden, GatingGoldenTest,
    ::testing::ValuesIn(testing::GoldenCasesOrNone("gating")), CaseName);
INSTANTIATE_TEST_SUITE_P(
    Golden, GatingInvariantsGoldenTest,
    ::testing::ValuesIn(testing::GoldenCasesOrNone("gating_invariants")),
    CaseName);

// A directory may have cases of one kind only.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GatingGoldenTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GatingInvariantsGoldenTest);

// No case may be missing because the index could not be read.
TEST(GoldenCasesTest, ThereAreCases) {
  ASSERT_OK_AND_ASSIGN(const std::vector<GoldenCase> gating,
                       testing::ListGoldenCases("gating"));
  ASSERT_OK_AND_ASSIGN(const std::vector<GoldenCase> invariants,
                       testing::ListGoldenCases("gating_invariants"));
  EXPECT_GT(gating.size() + invariants.size(), 0u);
}

}  // namespace
}  // namespace switchyard
