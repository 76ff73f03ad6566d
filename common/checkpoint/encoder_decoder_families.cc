// Switch Transformers and NLLB-MoE.
#include <limits>

#include "common/base/status_macros.h"
#include "common/checkpoint/families.h"
#include "common/checkpoint/family_parts.h"

namespace switchyard::families {
namespace {

// The layers of one stack that are sparse, none for a step of 0.
absl::StatusOr<int64_t> ReadSwitchStep(const ConfigReader& config,
                                       const char* num_sparse_field,
                                       const char* step_field,
                                       int64_t num_layers) {
  if (config.Has(step_field)) return config.Integer(step_field, 0);
  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_sparse,
                              config.Integer(num_sparse_field, 0, 3));
  return num_sparse > 0 ? num_layers / num_sparse : num_layers;
}

absl::StatusOr<GateSpec> ReadSwitchGate(const ConfigReader& config) {
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("router_dtype", "float32"));
  GateSpec gate = SoftmaxGate(1, /*renormalises=*/false);
  SWITCHYARD_ASSIGN_OR_RETURN(gate.bias, config.Boolean("router_bias", false));
  SWITCHYARD_ASSIGN_OR_RETURN(gate.jitter_epsilon,
                              config.Number("router_jitter_noise", 0.01f));
  if (gate.jitter_epsilon > 0) gate.noise_policy = NoisePolicy::kJitter;
  SWITCHYARD_ASSIGN_OR_RETURN(const float z_loss,
                              config.Number("router_z_loss_coef", 0.001f));
  SWITCHYARD_ASSIGN_OR_RETURN(const float aux_loss,
                              config.Number("router_aux_loss_coef", 0.001f));
  gate.aux_losses = {{.kind = AuxLossKind::kSequence, .coefficient = aux_loss},
                     {.kind = AuxLossKind::kZ, .coefficient = z_loss}};
  return gate;
}

absl::StatusOr<GateSpec> ReadNllbGate(const ConfigReader& config) {
  SWITCHYARD_RETURN_IF_ERROR(config.Expect("router_dtype", "float32"));
  GateSpec gate = SoftmaxGate(2, /*renormalises=*/true);
  SWITCHYARD_ASSIGN_OR_RETURN(gate.bias, config.Boolean("router_bias", false));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const bool before_dropping,
      config.Boolean("normalize_router_prob_before_dropping", false));
  gate.normalization = before_dropping ? WeightNormalization::kChosen
                                       : WeightNormalization::kKept;
  gate.normalization_floor = std::numeric_limits<float>::epsilon();
  SWITCHYARD_ASSIGN_OR_RETURN(
      const bool prioritised,
      config.Boolean("batch_prioritized_routing", false));
  gate.drop_policy =
      prioritised ? DropPolicy::kPriority : DropPolicy::kPosition;
  SWITCHYARD_ASSIGN_OR_RETURN(const std::string policy,
                              config.String("second_expert_policy", "all"));
  if (policy == "sampling") {
    gate.second_expert_sampling = true;
  } else if (policy == "random") {
    gate.second_expert_random = true;
  } else if (policy != "all") {
    return config.Refuse("second_expert_policy", "all, sampling or random");
  }
  // In eval mode every expert's output is scaled by what token dropout keeps.
  // In training Hugging Face drops elements of the outputs at random instead;
  // here the factor applies there too.
  SWITCHYARD_ASSIGN_OR_RETURN(const float dropout,
                              config.Number("moe_token_dropout", 0.2f));
  gate.scaling_factor = 1.0f - dropout;
  return gate;
}

absl::Status ReadNllbCapacity(const ConfigReader& config, LayerSpec& layer) {
  CapacitySpec& capacity = layer.capacity;
  SWITCHYARD_ASSIGN_OR_RETURN(capacity.expert_capacity,
                              config.Integer("expert_capacity", 1, 64));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const float fraction,
      config.Number("moe_eval_capacity_token_fraction", 1.0f));
  if (fraction <= 0) {
    capacity.eval_expert_capacity = capacity.expert_capacity;
  } else if (fraction < 1) {
    capacity.eval_token_fraction = fraction;
  }
  return absl::OkStatus();
}

// Width, activation and biases of the experts of both families.
struct MlpFields {
  const char* ffn_size;
  const char* activation;
  bool bias;
};

absl::StatusOr<LayerSpec> ReadMlpLayer(const ConfigReader& config,
                                       const MlpFields& fields,
                                       const GateSpec& gate) {
  LayerSpec layer;
  SWITCHYARD_ASSIGN_OR_RETURN(layer.hidden_size, config.Integer("d_model", 1));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_experts,
      config.Integer({"num_experts", "num_local_experts"}, 1));
  layer.num_experts = static_cast<int32_t>(num_experts);
  MlpExpertSpec expert;
  SWITCHYARD_ASSIGN_OR_RETURN(expert.ffn_size,
                              config.Integer(fields.ffn_size, 1));
  SWITCHYARD_ASSIGN_OR_RETURN(
      expert.activation, ReadActivation(config, fields.activation, "relu"));
  expert.bias = fields.bias;
  layer.expert = expert;
  layer.gate = gate;
  return layer;
}

}  // namespace

Layers SwitchTransformers(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GateSpec gate, ReadSwitchGate(config));
  SWITCHYARD_ASSIGN_OR_RETURN(
      LayerSpec layer,
      ReadMlpLayer(
          config,
          {.ffn_size = "d_ff", .activation = "dense_act_fn", .bias = false},
          gate));
  // The coefficients stand in the losses themselves.
  layer.aux_loss_coefficient = 1.0f;
  // The first tokens of each sequence keep their place, in eval mode too.
  SWITCHYARD_ASSIGN_OR_RETURN(layer.capacity.expert_capacity,
                              config.Integer("expert_capacity", 1, 64));
  layer.capacity.eval_expert_capacity = layer.capacity.expert_capacity;
  layer.capacity.per_sequence = true;

  SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_encoder,
                              ReadNumLayers(config, "num_layers"));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t num_decoder,
      ReadNumLayers(config, "num_decoder_layers", num_encoder));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t encoder_step,
      ReadSwitchStep(config, "num_sparse_encoder_layers", "encoder_sparse_step",
                     num_encoder));
  SWITCHYARD_ASSIGN_OR_RETURN(
      const int64_t decoder_step,
      ReadSwitchStep(config, "num_sparse_decoder_layers", "decoder_sparse_step",
                     num_decoder));
  std::vector<LayerSpec> layers;
  const auto add = [&](const char* stack, int64_t num_layers, int64_t step,
                       int feed_forward) {
    for (int64_t i = 0; i < num_layers; ++i) {
      if (step == 0 || (step != 1 && i % step != 1)) continue;
      layers.push_back(layer);
      SetModule(
          absl::StrCat(stack, ".block.", i, ".layer.", feed_forward, ".mlp"),
          layers.back());
    }
  };
  // A decoder's block has attention to the encoder in between.
  add("encoder", num_encoder, encoder_step, 1);
  add("decoder", num_decoder, decoder_step, 2);
  return layers;
}

Layers NllbMoe(const ConfigReader& config) {
  SWITCHYARD_ASSIGN_OR_RETURN(const GateSpec gate, ReadNllbGate(config));
  std::vector<LayerSpec> layers;
  for (const std::string stack : {"encoder", "decoder"}) {
    const std::string ffn_size = stack + "_ffn_dim";
    SWITCHYARD_ASSIGN_OR_RETURN(
        LayerSpec layer, ReadMlpLayer(config,
                                      {.ffn_size = ffn_size.c_str(),
                                       .activation = "activation_function",
                                       .bias = true},
                                      gate));
    SWITCHYARD_RETURN_IF_ERROR(ReadNllbCapacity(config, layer));
    SWITCHYARD_ASSIGN_OR_RETURN(layer.aux_loss_coefficient,
                                config.Number("router_aux_loss_coef", 0.001f));
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_layers,
                                ReadNumLayers(config, stack + "_layers"));
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t step,
                                config.Integer(stack + "_sparse_step", 0, 4));
    for (int64_t i = 0; i < num_layers; ++i) {
      if (step == 0 || (i + 1) % step != 0) continue;
      layers.push_back(layer);
      SetModule(absl::StrCat(stack, ".layers.", i, ".ffn"), layers.back());
    }
  }
  return layers;
}

}  // namespace switchyard::families
