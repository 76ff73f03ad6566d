#include "services/wire/layer_codec.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <functional>
#include <string>
#include <variant>

#include "common/base/status_testing.h"

namespace switchyard::wire {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::switchyard::testing::StatusIs;

v1::LayerSpec Parse(const std::string& text) {
  v1::LayerSpec message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

v1::LayerSpec Minimal() {
  return Parse(R"(name: "m" hidden_size: 8 num_experts: 4
                  expert { linear {} })");
}

TEST(LayerCodecTest, FillsTheDocumentedDefaultsIn) {
  ASSERT_OK_AND_ASSIGN(const LayerSpec spec, Decode(Minimal()));
  EXPECT_TRUE(MessageDifferencer::Equals(Encode(spec), Parse(R"(
      name: "m" hidden_size: 8 num_experts: 4 expert { linear {} }
      gate { k: 1 noise_policy: NOISE_POLICY_NONE use_rts: true
             second_expert_sampling: false drop_policy: DROP_POLICY_PROBS }
      capacity { capacity_factor: 1 min_capacity: 4 drop_tokens: true }
      optimizer { adam { beta1: 0.9 beta2: 0.999 epsilon: 1e-8 } })")))
      << Encode(spec).DebugString();
}

TEST(LayerCodecTest, AdamWHasADecayOfItsOwn) {
  v1::LayerSpec message = Minimal();
  message.mutable_optimizer()->mutable_adamw();
  ASSERT_OK_AND_ASSIGN(const LayerSpec spec, Decode(message));
  const auto& adam = std::get<AdamSpec>(spec.optimizer);
  EXPECT_TRUE(adam.decoupled);
  EXPECT_EQ(adam.weight_decay, 0.01f);
}

TEST(LayerCodecTest, EveryFieldComesBack) {
  for (const char* text : {
           R"(name: "model/blocks.3.moe" hidden_size: 84 num_experts: 6
              expert { mlp { ffn_size: 32 activation: ACTIVATION_GELU_TANH } }
              gate { k: 3 noise_policy: NOISE_POLICY_JITTER use_rts: false
                     second_expert_sampling: true
                     drop_policy: DROP_POLICY_POSITION }
              capacity { capacity_factor: 1.25 eval_capacity_factor: 2
                         min_capacity: 0 drop_tokens: false }
              aux_loss_coefficient: 0.01
              optimizer { sgd { momentum: 0.9 weight_decay: 0.1 } }
              seed: 18446744073709551615 ep_size: 2 exact_combine: true)",
           R"(name: "b" hidden_size: 1 num_experts: 1
              expert { mlp { ffn_size: 1 activation: ACTIVATION_GELU } }
              gate { k: 1 noise_policy: NOISE_POLICY_RSAMPLE use_rts: true
                     second_expert_sampling: false
                     drop_policy: DROP_POLICY_PROBS }
              capacity { capacity_factor: 2 min_capacity: 7 drop_tokens: true }
              optimizer { adamw { beta1: 0 beta2: 0.5 epsilon: 0.1
                                  weight_decay: 0 } })"}) {
    const v1::LayerSpec message = Parse(text);
    ASSERT_OK_AND_ASSIGN(const LayerSpec spec, Decode(message));
    EXPECT_TRUE(MessageDifferencer::Equals(Encode(spec), message))
        << Encode(spec).DebugString();
  }
}

struct Refusal {
  const char* name;
  std::function<void(v1::LayerSpec&)> change;
  const char* message;
};

class LayerRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(LayerRefusalTest, NamesTheField) {
  v1::LayerSpec message = Minimal();
  GetParam().change(message);
  EXPECT_THAT(Decode(message),
              StatusIs(absl::StatusCode::kInvalidArgument, GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, LayerRefusalTest,
    ::testing::Values(
        Refusal{"NoExpert", [](v1::LayerSpec& m) { m.clear_expert(); },
                "spec.expert: got no kind, expected linear or mlp"},
        Refusal{"Activation",
                [](v1::LayerSpec& m) {
                  auto& mlp = *m.mutable_expert()->mutable_mlp();
                  mlp.set_ffn_size(1);
                  mlp.set_activation(static_cast<v1::Activation>(9));
                },
                "spec.expert.mlp.activation: got 9, expected a value of "
                "Activation"},
        Refusal{"Noise",
                [](v1::LayerSpec& m) {
                  m.mutable_gate()->set_noise_policy(
                      static_cast<v1::NoisePolicy>(-1));
                },
                "spec.gate.noise_policy: got -1, expected a value of "
                "NoisePolicy"},
        Refusal{"Drop",
                [](v1::LayerSpec& m) {
                  m.mutable_gate()->set_drop_policy(
                      static_cast<v1::DropPolicy>(3));
                },
                "spec.gate.drop_policy: got 3, expected a value of DropPolicy"},
        Refusal{"Validate", [](v1::LayerSpec& m) { m.set_hidden_size(0); },
                "spec.hidden_size: got 0, expected 1 to 1048576"}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace switchyard::wire
