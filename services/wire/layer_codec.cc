#include "services/wire/layer_codec.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace switchyard::wire {
namespace {

absl::Status RefuseEnum(absl::string_view field, int got,
                        absl::string_view type) {
  return absl::InvalidArgumentError(absl::StrCat(
      "spec.", field, ": got ", got, ", expected a value of ", type));
}

absl::StatusOr<Activation> DecodeActivation(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_UNSPECIFIED:
    case v1::ACTIVATION_RELU:
      return Activation::kRelu;
    case v1::ACTIVATION_GELU:
      return Activation::kGelu;
    case v1::ACTIVATION_GELU_TANH:
      return Activation::kGeluTanh;
    default:
      return RefuseEnum("expert.mlp.activation", activation, "Activation");
  }
}

v1::Activation EncodeActivation(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return v1::ACTIVATION_RELU;
    case Activation::kGelu:
      return v1::ACTIVATION_GELU;
    case Activation::kGeluTanh:
      return v1::ACTIVATION_GELU_TANH;
  }
  return v1::ACTIVATION_UNSPECIFIED;
}

absl::StatusOr<NoisePolicy> DecodeNoise(v1::NoisePolicy policy) {
  switch (policy) {
    case v1::NOISE_POLICY_NONE:
      return NoisePolicy::kNone;
    case v1::NOISE_POLICY_JITTER:
      return NoisePolicy::kJitter;
    case v1::NOISE_POLICY_RSAMPLE:
      return NoisePolicy::kRSample;
    default:
      return RefuseEnum("gate.noise_policy", policy, "NoisePolicy");
  }
}

v1::NoisePolicy EncodeNoise(NoisePolicy policy) {
  switch (policy) {
    case NoisePolicy::kNone:
      return v1::NOISE_POLICY_NONE;
    case NoisePolicy::kJitter:
      return v1::NOISE_POLICY_JITTER;
    case NoisePolicy::kRSample:
      return v1::NOISE_POLICY_RSAMPLE;
  }
  return v1::NOISE_POLICY_NONE;
}

absl::StatusOr<DropPolicy> DecodeDrop(v1::DropPolicy policy) {
  switch (policy) {
    case v1::DROP_POLICY_UNSPECIFIED:
    case v1::DROP_POLICY_PROBS:
      return DropPolicy::kProbs;
    case v1::DROP_POLICY_POSITION:
      return DropPolicy::kPosition;
    default:
      return RefuseEnum("gate.drop_policy", policy, "DropPolicy");
  }
}

absl::StatusOr<ExpertSpec> DecodeExpert(const v1::ExpertSpec& message) {
  switch (message.kind_case()) {
    case v1::ExpertSpec::kLinear:
      return LinearExpertSpec{};
    case v1::ExpertSpec::kMlp: {
      MlpExpertSpec mlp;
      mlp.ffn_size = message.mlp().ffn_size();
      SWITCHYARD_ASSIGN_OR_RETURN(mlp.activation,
                                  DecodeActivation(message.mlp().activation()));
      return mlp;
    }
    case v1::ExpertSpec::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "spec.expert: got no kind, expected linear or mlp");
}

absl::StatusOr<GateSpec> DecodeGate(const v1::GateSpec& message) {
  GateSpec gate;
  if (message.k() != 0) gate.k = message.k();
  SWITCHYARD_ASSIGN_OR_RETURN(gate.noise_policy,
                              DecodeNoise(message.noise_policy()));
  if (message.has_use_rts()) gate.use_rts = message.use_rts();
  gate.second_expert_sampling = message.second_expert_sampling();
  SWITCHYARD_ASSIGN_OR_RETURN(gate.drop_policy,
                              DecodeDrop(message.drop_policy()));
  return gate;
}

CapacitySpec DecodeCapacity(const v1::CapacitySpec& message) {
  CapacitySpec capacity;
  if (message.has_capacity_factor()) {
    capacity.capacity_factor = message.capacity_factor();
  }
  if (message.has_eval_capacity_factor()) {
    capacity.eval_capacity_factor = message.eval_capacity_factor();
  }
  if (message.has_min_capacity()) {
    capacity.min_capacity = message.min_capacity();
  }
  if (message.has_drop_tokens()) capacity.drop_tokens = message.drop_tokens();
  return capacity;
}

// Adam and AdamW have the same fields, in two message types.
template <typename Message>
AdamSpec DecodeAdam(const Message& message) {
  AdamSpec adam;
  if (message.has_beta1()) adam.beta1 = message.beta1();
  if (message.has_beta2()) adam.beta2 = message.beta2();
  if (message.has_epsilon()) adam.epsilon = message.epsilon();
  return adam;
}

OptimizerSpec DecodeOptimizer(const v1::OptimizerSpec& message) {
  switch (message.kind_case()) {
    case v1::OptimizerSpec::kSgd: {
      SgdSpec sgd;
      sgd.momentum = message.sgd().momentum();
      sgd.weight_decay = message.sgd().weight_decay();
      return sgd;
    }
    case v1::OptimizerSpec::kAdamw: {
      AdamSpec adam = DecodeAdam(message.adamw());
      adam.decoupled = true;
      adam.weight_decay = message.adamw().has_weight_decay()
                              ? message.adamw().weight_decay()
                              : 0.01f;
      return adam;
    }
    case v1::OptimizerSpec::kAdam: {
      AdamSpec adam = DecodeAdam(message.adam());
      adam.weight_decay = message.adam().weight_decay();
      return adam;
    }
    case v1::OptimizerSpec::KIND_NOT_SET:
      break;
  }
  return AdamSpec{};
}

template <typename Message>
void EncodeAdam(const AdamSpec& adam, Message& message) {
  message.set_beta1(adam.beta1);
  message.set_beta2(adam.beta2);
  message.set_epsilon(adam.epsilon);
  message.set_weight_decay(adam.weight_decay);
}

void EncodeOptimizer(const OptimizerSpec& optimizer,
                     v1::OptimizerSpec& message) {
  if (const auto* sgd = std::get_if<SgdSpec>(&optimizer)) {
    message.mutable_sgd()->set_momentum(sgd->momentum);
    message.mutable_sgd()->set_weight_decay(sgd->weight_decay);
    return;
  }
  const AdamSpec& adam = std::get<AdamSpec>(optimizer);
  if (adam.decoupled) {
    EncodeAdam(adam, *message.mutable_adamw());
  } else {
    EncodeAdam(adam, *message.mutable_adam());
  }
}

void EncodeExpert(const ExpertSpec& expert, v1::ExpertSpec& message) {
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&expert)) {
    message.mutable_mlp()->set_ffn_size(mlp->ffn_size);
    message.mutable_mlp()->set_activation(EncodeActivation(mlp->activation));
  } else {
    message.mutable_linear();
  }
}

void EncodeGate(const GateSpec& gate, v1::GateSpec& message) {
  message.set_k(gate.k);
  message.set_noise_policy(EncodeNoise(gate.noise_policy));
  message.set_use_rts(gate.use_rts);
  message.set_second_expert_sampling(gate.second_expert_sampling);
  message.set_drop_policy(gate.drop_policy == DropPolicy::kPosition
                              ? v1::DROP_POLICY_POSITION
                              : v1::DROP_POLICY_PROBS);
}

void EncodeCapacity(const CapacitySpec& capacity, v1::CapacitySpec& message) {
  message.set_capacity_factor(capacity.capacity_factor);
  if (capacity.eval_capacity_factor.has_value()) {
    message.set_eval_capacity_factor(*capacity.eval_capacity_factor);
  }
  message.set_min_capacity(capacity.min_capacity);
  message.set_drop_tokens(capacity.drop_tokens);
}

}  // namespace

absl::StatusOr<LayerSpec> Decode(const v1::LayerSpec& message) {
  LayerSpec spec;
  spec.name = message.name();
  spec.hidden_size = message.hidden_size();
  spec.num_experts = message.num_experts();
  SWITCHYARD_ASSIGN_OR_RETURN(spec.expert, DecodeExpert(message.expert()));
  SWITCHYARD_ASSIGN_OR_RETURN(spec.gate, DecodeGate(message.gate()));
  spec.capacity = DecodeCapacity(message.capacity());
  spec.aux_loss_coefficient = message.aux_loss_coefficient();
  spec.optimizer = DecodeOptimizer(message.optimizer());
  spec.seed = message.seed();
  spec.ep_size = message.ep_size();
  spec.exact_combine = message.exact_combine();
  SWITCHYARD_RETURN_IF_ERROR(Validate(spec));
  return spec;
}

v1::LayerSpec Encode(const LayerSpec& spec) {
  v1::LayerSpec message;
  message.set_name(spec.name);
  message.set_hidden_size(spec.hidden_size);
  message.set_num_experts(spec.num_experts);
  EncodeExpert(spec.expert, *message.mutable_expert());
  EncodeGate(spec.gate, *message.mutable_gate());
  EncodeCapacity(spec.capacity, *message.mutable_capacity());
  message.set_aux_loss_coefficient(spec.aux_loss_coefficient);
  EncodeOptimizer(spec.optimizer, *message.mutable_optimizer());
  message.set_seed(spec.seed);
  message.set_ep_size(spec.ep_size);
  message.set_exact_combine(spec.exact_combine);
  return message;
}

}  // namespace switchyard::wire
