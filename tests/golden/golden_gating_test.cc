// DeepSpeed's gates through the public RPCs. The layer is built so that what
// comes out is the gate: its weight is the identity, so the tokens are the
// logits; expert e answers the unit vector of e, so the output is the combine
// weights, and <grad_y, expert e> is grad_y's element e.
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_testing.h"
#include "tests/golden/golden_testing.h"
#include "tests/testing/parameters_testing.h"

namespace switchyard::testing {
namespace {

using ::testing::ElementsAreArray;

absl::Status MakeTransparent(LayerApi& api, const LayerSpec& spec) {
  const size_t n = static_cast<size_t>(spec.num_experts);
  std::vector<float> identity(n * n, 0.0f);
  for (size_t e = 0; e < n; ++e) identity[e * n + e] = 1.0f;
  SWITCHYARD_RETURN_IF_ERROR(WriteWhole(api, spec, "gate.weight", identity));
  const std::vector<float> zeros(n * n, 0.0f);
  for (size_t e = 0; e < n; ++e) {
    SWITCHYARD_RETURN_IF_ERROR(
        WriteWhole(api, spec, absl::StrCat("experts.", e, ".weight"), zeros));
    SWITCHYARD_RETURN_IF_ERROR(
        WriteWhole(api, spec, absl::StrCat("experts.", e, ".bias"),
                   absl::MakeConstSpan(identity).subspan(e * n, n)));
  }
  return absl::OkStatus();
}

ForwardRequest RequestOf(const LayerSpec& spec, const GoldenArrays& arrays) {
  ForwardRequest request;
  request.layer = spec.name;
  request.mode = Mode::kTrain;
  request.return_routes = true;
  request.x = arrays.Floats("logits");
  if (arrays.Has("used_token")) {
    for (const int64_t used : arrays.Integers("used_token")) {
      request.used_tokens.push_back(used != 0);
    }
  }
  return request;
}

// [k, tokens], as the cases have it, to our [tokens, k].
template <typename T>
std::vector<T> ByToken(const std::vector<T>& by_choice, int32_t k) {
  const size_t num_tokens = by_choice.size() / static_cast<size_t>(k);
  std::vector<T> by_token;
  for (size_t s = 0; s < num_tokens; ++s) {
    for (size_t r = 0; r < static_cast<size_t>(k); ++r) {
      by_token.push_back(by_choice[r * num_tokens + s]);
    }
  }
  return by_token;
}

std::vector<float> FloatsOf(const Tensor& tensor) {
  return {tensor.values().begin(), tensor.values().end()};
}

class GoldenGatingTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenGatingTest, RoutesLossesAndGradientsAreDeepSpeeds) {
  if (const auto reason = NotOffered(GetParam())) GTEST_SKIP() << *reason;
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  const LayerSpec spec = SpecOf(GetParam());
  const std::unique_ptr<LayerApi> api = ApiFor(arrays, /*num_workers=*/2);
  ASSERT_OK(api->CreateLayer(spec));
  ASSERT_OK(MakeTransparent(*api, spec));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       api->Forward(RequestOf(spec, arrays)));

  const std::vector<int64_t> experts =
      ByToken(arrays.Integers("route_expert"), spec.gate.k);
  const std::vector<float> weights =
      ByToken(FloatsOf(arrays.Floats("route_gate")), spec.gate.k);
  ASSERT_TRUE(forward.routes.has_value());
  EXPECT_THAT(forward.routes->expert_ids, ElementsAreArray(experts));
  EXPECT_THAT(
      forward.routes->slots,
      ElementsAreArray(ByToken(arrays.Integers("route_slot"), spec.gate.k)));
  ExpectClose(forward.routes->weights, weights, 1e-6, "weights");
  EXPECT_EQ(forward.capacity, arrays.Integer("capacity"));
  EXPECT_THAT(forward.expert_counts,
              ElementsAreArray(arrays.Integers("exp_counts")));
  EXPECT_NEAR(forward.aux_loss, arrays.Float("l_aux"),
              2e-6 + 1e-6 * std::abs(arrays.Float("l_aux")));

  // loss = sum(route_gate * g_route) + alpha * l_aux.
  const std::vector<float> grad_weights =
      ByToken(FloatsOf(arrays.Floats("g_route")), spec.gate.k);
  BackwardRequest backward;
  backward.layer = spec.name;
  backward.step = forward.step;
  backward.microbatch = forward.microbatch;
  backward.grad_aux_loss = spec.aux_loss_coefficient;
  backward.grad_y = Tensor::Zeros(forward.y.shape());
  Tensor combined = Tensor::Zeros(forward.y.shape());
  for (size_t entry = 0; entry < experts.size(); ++entry) {
    if (experts[entry] < 0) continue;
    const int64_t token = static_cast<int64_t>(entry) / spec.gate.k;
    backward.grad_y.row(token)[experts[entry]] = grad_weights[entry];
    combined.row(token)[experts[entry]] = weights[entry];
  }
  ExpectClose(forward.y.values(), combined.values(), 1e-6, "y");
  ASSERT_OK_AND_ASSIGN(const BackwardResult gradient, api->Backward(backward));
  ExpectClose(gradient.grad_x.values(), arrays.Floats("grad_logits").values(),
              kLayerTolerance, "grad_logits");
}

INSTANTIATE_TEST_SUITE_P(DeepSpeed, GoldenGatingTest,
                         ::testing::ValuesIn(GoldenCasesOrNone("gating")),
                         [](const auto& tested) { return tested.param.name; });

// Cases in which only who survives is DeepSpeed's accident.
class GoldenInvariantsTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenInvariantsTest, CountsAndWeightsAreDeepSpeeds) {
  ASSERT_OK_AND_ASSIGN(const GoldenArrays arrays,
                       GoldenArrays::Read(GetParam()));
  const LayerSpec spec = SpecOf(GetParam());
  const std::unique_ptr<LayerApi> api = ApiFor(arrays, /*num_workers=*/2);
  ASSERT_OK(api->CreateLayer(spec));
  ASSERT_OK(MakeTransparent(*api, spec));
  ASSERT_OK_AND_ASSIGN(const ForwardResult forward,
                       api->Forward(RequestOf(spec, arrays)));
  EXPECT_EQ(forward.capacity, arrays.Integer("capacity"));
  EXPECT_THAT(forward.expert_counts,
              ElementsAreArray(arrays.Integers("exp_counts")));
  EXPECT_THAT(forward.kept_counts,
              ElementsAreArray(arrays.Integers("kept_counts")));
  EXPECT_NEAR(forward.aux_loss, arrays.Float("l_aux"),
              2e-6 + 1e-6 * std::abs(arrays.Float("l_aux")));
  const std::vector<int64_t> chosen = arrays.Integers("token_expert");
  const Tensor weight_if_kept = arrays.Floats("token_gate_if_kept");
  for (size_t token = 0; token < chosen.size(); ++token) {
    const int32_t expert = forward.routes->expert_ids[token];
    if (expert < 0) continue;
    EXPECT_EQ(expert, chosen[token]);
    EXPECT_NEAR(forward.routes->weights[token], weight_if_kept.data()[token],
                3e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(
    DeepSpeed, GoldenInvariantsTest,
    ::testing::ValuesIn(GoldenCasesOrNone("gating_invariants")),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace switchyard::testing
