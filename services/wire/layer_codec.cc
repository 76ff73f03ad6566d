#include "services/wire/layer_codec.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "services/wire/enum_table.h"
#include "services/wire/gate_codec.h"

namespace switchyard::wire {
namespace {

constexpr EnumTable<BranchMix, v1::DenseBranch::Mix, 4> kBranchMixes = {{
    {BranchMix::kSum, v1::DenseBranch::MIX_SUM},
    {BranchMix::kSigmoidGate, v1::DenseBranch::MIX_SIGMOID_GATE},
    {BranchMix::kCoefficients, v1::DenseBranch::MIX_COEFFICIENTS},
    {BranchMix::kScale, v1::DenseBranch::MIX_SCALE},
}};
constexpr EnumTable<DType, v1::DType, 3> kDTypes = {{
    {DType::kFloat32, v1::DTYPE_FLOAT32},
    {DType::kBFloat16, v1::DTYPE_BFLOAT16},
    {DType::kFloat16, v1::DTYPE_FLOAT16},
}};

absl::StatusOr<DenseBranchSpec> DecodeDenseBranch(
    const v1::DenseBranch& message) {
  DenseBranchSpec branch;
  SWITCHYARD_ASSIGN_OR_RETURN(
      branch.expert, DecodeExpert(message.expert(), "dense_branch.expert"));
  SWITCHYARD_ASSIGN_OR_RETURN(
      branch.mix, DecodeEnum(kBranchMixes, message.mix(),
                             std::optional<BranchMix>(BranchMix::kSum),
                             "dense_branch.mix", "DenseBranch.Mix"));
  return branch;
}

absl::StatusOr<std::vector<ParameterDType>> DecodeParameterDTypes(
    const v1::LayerSpec& message) {
  std::vector<ParameterDType> dtypes;
  for (const v1::ParameterDType& entry : message.parameter_dtypes()) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const DType dtype,
        DecodeEnum(kDTypes, entry.dtype(), std::optional<DType>(),
                   absl::StrCat("parameter_dtypes[", dtypes.size(), "].dtype"),
                   "DType"));
    dtypes.push_back({.parameter = entry.parameter(), .dtype = dtype});
  }
  return dtypes;
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
  capacity.local_group_tokens = message.local_group_tokens();
  capacity.per_sequence = message.per_sequence();
  capacity.expert_capacity = message.expert_capacity();
  capacity.eval_expert_capacity = message.eval_expert_capacity();
  capacity.eval_token_fraction = message.eval_token_fraction();
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

void EncodeCapacity(const CapacitySpec& capacity, v1::CapacitySpec& message) {
  message.set_capacity_factor(capacity.capacity_factor);
  if (capacity.eval_capacity_factor.has_value()) {
    message.set_eval_capacity_factor(*capacity.eval_capacity_factor);
  }
  message.set_min_capacity(capacity.min_capacity);
  message.set_drop_tokens(capacity.drop_tokens);
  message.set_local_group_tokens(capacity.local_group_tokens);
  message.set_per_sequence(capacity.per_sequence);
  message.set_expert_capacity(capacity.expert_capacity);
  message.set_eval_expert_capacity(capacity.eval_expert_capacity);
  message.set_eval_token_fraction(capacity.eval_token_fraction);
}

}  // namespace

absl::StatusOr<LayerSpec> Decode(const v1::LayerSpec& message) {
  LayerSpec spec;
  spec.name = message.name();
  spec.hidden_size = message.hidden_size();
  spec.num_experts = message.num_experts();
  SWITCHYARD_ASSIGN_OR_RETURN(spec.expert,
                              DecodeExpert(message.expert(), "expert"));
  SWITCHYARD_ASSIGN_OR_RETURN(spec.gate, DecodeGate(message.gate()));
  spec.capacity = DecodeCapacity(message.capacity());
  spec.aux_loss_coefficient = message.aux_loss_coefficient();
  spec.optimizer = DecodeOptimizer(message.optimizer());
  spec.seed = message.seed();
  spec.ep_size = message.ep_size();
  spec.exact_combine = message.exact_combine();
  if (message.has_dense_branch()) {
    SWITCHYARD_ASSIGN_OR_RETURN(spec.dense_branch,
                                DecodeDenseBranch(message.dense_branch()));
  }
  spec.inference_only = message.inference_only();
  spec.int8_weights = message.int8_weights();
  SWITCHYARD_ASSIGN_OR_RETURN(spec.parameter_dtypes,
                              DecodeParameterDTypes(message));
  if (message.has_origin()) {
    spec.origin = HuggingFaceOrigin{.model_type = message.origin().model_type(),
                                    .module = message.origin().module()};
  }
  SWITCHYARD_RETURN_IF_ERROR(Validate(spec));
  return spec;
}

v1::LayerSpec Encode(const LayerSpec& spec) {
  v1::LayerSpec message;
  message.set_name(spec.name);
  message.set_hidden_size(spec.hidden_size);
  message.set_num_experts(spec.num_experts);
  *message.mutable_expert() = EncodeExpert(spec.expert);
  *message.mutable_gate() = EncodeGate(spec.gate);
  EncodeCapacity(spec.capacity, *message.mutable_capacity());
  message.set_aux_loss_coefficient(spec.aux_loss_coefficient);
  EncodeOptimizer(spec.optimizer, *message.mutable_optimizer());
  message.set_seed(spec.seed);
  message.set_ep_size(spec.ep_size);
  message.set_exact_combine(spec.exact_combine);
  if (spec.dense_branch.has_value()) {
    v1::DenseBranch& branch = *message.mutable_dense_branch();
    *branch.mutable_expert() = EncodeExpert(spec.dense_branch->expert);
    branch.set_mix(EncodeEnum(kBranchMixes, spec.dense_branch->mix));
  }
  message.set_inference_only(spec.inference_only);
  message.set_int8_weights(spec.int8_weights);
  for (const ParameterDType& entry : spec.parameter_dtypes) {
    v1::ParameterDType& encoded = *message.add_parameter_dtypes();
    encoded.set_parameter(entry.parameter);
    encoded.set_dtype(EncodeEnum(kDTypes, entry.dtype));
  }
  if (spec.origin.has_value()) {
    message.mutable_origin()->set_model_type(spec.origin->model_type);
    message.mutable_origin()->set_module(spec.origin->module);
  }
  return message;
}

}  // namespace switchyard::wire
