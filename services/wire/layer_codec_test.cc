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

// Whether every field that `expected` sets is the same in `got`, which may have
// defaults beside.
bool Includes(const google::protobuf::Message& got,
              const google::protobuf::Message& expected) {
  MessageDifferencer differencer;
  differencer.set_scope(MessageDifferencer::PARTIAL);
  return differencer.Compare(expected, got);
}

v1::LayerSpec Minimal() {
  return Parse(R"(name: "m" hidden_size: 8 num_experts: 4
                  expert { linear {} })");
}

TEST(LayerCodecTest, FillsTheDocumentedDefaultsIn) {
  ASSERT_OK_AND_ASSIGN(const LayerSpec spec, Decode(Minimal()));
  EXPECT_TRUE(Includes(Encode(spec), Parse(R"(
      name: "m" hidden_size: 8 num_experts: 4
      expert { linear { bias: true } }
      gate { k: 1 noise_policy: NOISE_POLICY_NONE use_rts: true
             second_expert_sampling: false drop_policy: DROP_POLICY_PROBS
             bias: false score_function: SCORE_FUNCTION_SOFTMAX
             selection: SELECTION_TOP_K rank_by: RANK_BY_SCORES
             score_correction_bias: false bias_update_rate: 0
             normalization_floor: 0 normalization_epsilon: 0 scaling_factor: 1
             weight_application: WEIGHT_APPLICATION_OUTPUT
             jitter_epsilon: 0.01 jitter_expert_input: false gaussian_std: 1
             sparsemixer_epsilon: 0.01 second_expert_random: false }
      capacity { capacity_factor: 1 min_capacity: 4 drop_tokens: true }
      optimizer { adam { beta1: 0.9 beta2: 0.999 epsilon: 1e-8 } })")))
      << Encode(spec).DebugString();
}

TEST(LayerCodecTest, FieldsThatAreSetWinOverTheirPreset) {
  v1::LayerSpec message = Minimal();
  message.mutable_gate()->set_preset("mixtral");
  ASSERT_OK_AND_ASSIGN(const LayerSpec mixtral, Decode(message));
  EXPECT_EQ(mixtral.gate.k, 2);
  EXPECT_EQ(mixtral.gate.normalization, WeightNormalization::kChosen);
  message.mutable_gate()->set_k(3);
  message.mutable_gate()->set_normalization(v1::WEIGHT_NORMALIZATION_NONE);
  ASSERT_OK_AND_ASSIGN(const LayerSpec changed, Decode(message));
  EXPECT_EQ(changed.gate.k, 3);
  EXPECT_EQ(changed.gate.normalization, WeightNormalization::kNone);
  // The answer has fields and no preset.
  EXPECT_EQ(Encode(changed).gate().preset(), "");
}

TEST(LayerCodecTest, AnUnknownPresetIsRefusedWithThoseThereAre) {
  v1::LayerSpec message = Minimal();
  message.mutable_gate()->set_preset("gpt-17");
  EXPECT_THAT(Decode(message), StatusIs(absl::StatusCode::kInvalidArgument,
                                        ::testing::HasSubstr("mixtral")));
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
                                  weight_decay: 0 } })",
           R"(name: "c" hidden_size: 16 num_experts: 8
              expert { gated { ffn_size: 4 activation: ACTIVATION_SILU
                               bias: true clamp { limit: 5 alpha: 1.5 } } }
              gate { k: 2 bias: true
                     score_function: SCORE_FUNCTION_SQRT_SOFTPLUS
                     rank_by: RANK_BY_LOGITS score_correction_bias: true
                     bias_update_rate: 0.25
                     group_limit { num_groups: 4 num_selected_groups: 2
                                   score: SCORE_TOP2_SUM mask_with_zero: true }
                     normalization: WEIGHT_NORMALIZATION_CHOSEN
                     normalization_floor: 0.5 normalization_epsilon: 0.125
                     scaling_factor: 2.5
                     weight_application: WEIGHT_APPLICATION_INPUT
                     noise_policy: NOISE_POLICY_GAUSSIAN jitter_epsilon: 0.5
                     jitter_expert_input: true gaussian_std: 2
                     second_expert_random: true
                     drop_policy: DROP_POLICY_PRIORITY
                     aux_losses { kind: AUX_LOSS_KIND_LOAD coefficient: 0.5 }
                     aux_losses { kind: AUX_LOSS_KIND_Z coefficient: 1 } }
              capacity { local_group_tokens: 64 expert_capacity: 9
                         eval_expert_capacity: 11 }
              dense_branch { expert { identity {} } mix: MIX_SUM }
              inference_only: true
              int8_weights: true
              parameter_dtypes { parameter: "experts.*.up_proj.weight"
                                 dtype: DTYPE_BFLOAT16 }
              parameter_dtypes { parameter: "gate.weight"
                                 dtype: DTYPE_FLOAT16 }
              origin { model_type: "mixtral" module: "model.layers.0.moe" })",
           R"(name: "d" hidden_size: 16 num_experts: 8
              expert { linear { bias: false } }
              gate { k: 2 selection: SELECTION_SPARSE_MIXER
                     sparsemixer_epsilon: 0.25 }
              capacity { per_sequence: true eval_token_fraction: 0.25 }
              dense_branch { expert { mlp { ffn_size: 3 bias: false } }
                             mix: MIX_COEFFICIENTS })"}) {
    const v1::LayerSpec message = Parse(text);
    ASSERT_OK_AND_ASSIGN(const LayerSpec spec, Decode(message));
    EXPECT_TRUE(Includes(Encode(spec), message)) << Encode(spec).DebugString();
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
                "spec.expert: got no kind, expected linear, mlp, gated or "
                "identity"},
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
                      static_cast<v1::DropPolicy>(9));
                },
                "spec.gate.drop_policy: got 9, expected a value of DropPolicy"},
        Refusal{"Validate", [](v1::LayerSpec& m) { m.set_hidden_size(0); },
                "spec.hidden_size: got 0, expected 1 to 1048576"}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace switchyard::wire
