#include "common/model/layer_spec.h"

#include <cmath>
#include <functional>
#include <ostream>
#include <string>

#include "common/base/status_testing.h"

namespace switchyard {
namespace {

using ::switchyard::testing::StatusIs;
using ::testing::HasSubstr;

LayerSpec ValidSpec() {
  LayerSpec spec;
  spec.name = "blocks.3.moe";
  spec.hidden_size = 8;
  spec.num_experts = 4;
  spec.expert = MlpExpertSpec{.ffn_size = 16};
  return spec;
}

TEST(LayerSpecTest, AcceptsAValidSpec) { EXPECT_OK(Validate(ValidSpec())); }

struct BadSpec {
  std::string message;
  std::function<void(LayerSpec&)> spoil;
};

void PrintTo(const BadSpec& bad_spec, std::ostream* os) {
  *os << bad_spec.message;
}

class BadLayerSpecTest : public ::testing::TestWithParam<BadSpec> {};

TEST_P(BadLayerSpecTest, IsRefusedNamingFieldValueAndExpectation) {
  LayerSpec spec = ValidSpec();
  GetParam().spoil(spec);
  EXPECT_THAT(Validate(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, BadLayerSpecTest,
    ::testing::Values(
        BadSpec{"spec.name: got ''", [](LayerSpec& s) { s.name = ""; }},
        BadSpec{"spec.name: got 'a\\nb'",
                [](LayerSpec& s) { s.name = "a\nb"; }},
        BadSpec{"spec.hidden_size: got 0",
                [](LayerSpec& s) { s.hidden_size = 0; }},
        BadSpec{"spec.num_experts: got 0, expected 1 to 65536",
                [](LayerSpec& s) { s.num_experts = 0; }},
        BadSpec{"spec.expert.mlp.ffn_size: got -1",
                [](LayerSpec& s) { s.expert = MlpExpertSpec{.ffn_size = -1}; }},
        BadSpec{"spec.gate.k: got 5, expected 1 to num_experts (4)",
                [](LayerSpec& s) { s.gate.k = 5; }},
        BadSpec{"spec.int8_weights: got true for a layer that trains, expected "
                "inference_only beside it",
                [](LayerSpec& s) { s.int8_weights = true; }},
        BadSpec{"spec.gate.k: got 0", [](LayerSpec& s) { s.gate.k = 0; }},
        BadSpec{
            "spec.capacity.capacity_factor: got nan",
            [](LayerSpec& s) { s.capacity.capacity_factor = std::nanf(""); }},
        BadSpec{"spec.capacity.eval_capacity_factor: got 0",
                [](LayerSpec& s) { s.capacity.eval_capacity_factor = 0.0f; }},
        BadSpec{"spec.capacity.min_capacity: got -1",
                [](LayerSpec& s) { s.capacity.min_capacity = -1; }},
        BadSpec{"spec.aux_loss_coefficient: got -1",
                [](LayerSpec& s) { s.aux_loss_coefficient = -1; }},
        BadSpec{"spec.optimizer.sgd.momentum: got 1",
                [](LayerSpec& s) { s.optimizer = SgdSpec{.momentum = 1}; }},
        BadSpec{"spec.optimizer.adamw.epsilon: got 0",
                [](LayerSpec& s) {
                  s.optimizer = AdamSpec{.epsilon = 0, .decoupled = true};
                }},
        BadSpec{"spec.ep_size: got 5, expected 0 to 4",
                [](LayerSpec& s) { s.ep_size = 5; }}));

}  // namespace
}  // namespace switchyard
