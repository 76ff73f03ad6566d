#include "common/model/parameters.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace switchyard {

int64_t ParameterSpec::num_elements() const {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

std::vector<ParameterSpec> ExpertParameters(const LayerSpec& spec,
                                            int32_t expert_id) {
  const int64_t hidden = spec.hidden_size;
  std::vector<ParameterSpec> parameters;
  const auto add = [&](absl::string_view suffix, Shape shape, int64_t fan_in) {
    parameters.push_back(
        {.name = absl::StrCat("experts.", expert_id, ".", suffix),
         .expert_id = expert_id,
         .idx_in_expert = static_cast<int32_t>(parameters.size()),
         .shape = std::move(shape),
         .fan_in = fan_in});
  };
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&spec.expert)) {
    add("fc1.weight", {mlp->ffn_size, hidden}, hidden);
    add("fc1.bias", {mlp->ffn_size}, hidden);
    add("fc2.weight", {hidden, mlp->ffn_size}, mlp->ffn_size);
    add("fc2.bias", {hidden}, mlp->ffn_size);
  } else {
    add("weight", {hidden, hidden}, hidden);
    add("bias", {hidden}, hidden);
  }
  return parameters;
}

ParameterSpec GateParameter(const LayerSpec& spec) {
  return {.name = "gate.weight",
          .expert_id = kGateOwner,
          .idx_in_expert = 0,
          .shape = {spec.num_experts, spec.hidden_size},
          .fan_in = spec.hidden_size};
}

absl::StatusOr<ParameterSpec> FindParameter(const LayerSpec& spec,
                                            absl::string_view name) {
  ParameterSpec gate = GateParameter(spec);
  if (name == gate.name) return gate;
  absl::string_view rest = name;
  int32_t expert_id = -1;
  if (absl::ConsumePrefix(&rest, "experts.") &&
      absl::SimpleAtoi(rest.substr(0, rest.find('.')), &expert_id) &&
      expert_id >= 0 && expert_id < spec.num_experts) {
    for (ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
      if (parameter.name == name) return std::move(parameter);
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "layer '", spec.name, "' has no parameter '", name.substr(0, 128), "'"));
}

std::vector<ParameterSpec> AllParameters(const LayerSpec& spec) {
  std::vector<ParameterSpec> parameters = {GateParameter(spec)};
  for (int32_t expert_id = 0; expert_id < spec.num_experts; ++expert_id) {
    for (ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
      parameters.push_back(std::move(parameter));
    }
  }
  return parameters;
}

}  // namespace switchyard
