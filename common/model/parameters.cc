#include "common/model/parameters.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace switchyard {

int64_t ParameterSpec::num_elements() const {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

namespace {

// Collects the parameters of one owner.
class ParameterList {
 public:
  ParameterList(const LayerSpec& spec, int32_t owner, std::string prefix)
      : spec_(spec), owner_(owner), prefix_(std::move(prefix)) {}

  void Add(absl::string_view suffix, Shape shape, int64_t fan_in) {
    parameters_.push_back(
        {.name = absl::StrCat(prefix_, suffix),
         .expert_id = owner_,
         .idx_in_expert = static_cast<int32_t>(parameters_.size()),
         .shape = std::move(shape),
         .fan_in = fan_in,
         .dtype = StoredDType(suffix)});
  }
  // A linear map of `num_inputs` to `num_outputs`.
  void AddLinear(absl::string_view name, int64_t num_outputs,
                 int64_t num_inputs, bool bias) {
    Add(absl::StrCat(name, "weight"), {num_outputs, num_inputs}, num_inputs);
    if (bias) Add(absl::StrCat(name, "bias"), {num_outputs}, num_inputs);
  }
  ParameterSpec& back() { return parameters_.back(); }
  std::vector<ParameterSpec> Take() { return std::move(parameters_); }

 private:
  DType StoredDType(absl::string_view suffix) const {
    const std::string pattern = owner_ >= 0 && owner_ < spec_.num_experts
                                    ? absl::StrCat("experts.*.", suffix)
                                    : absl::StrCat(prefix_, suffix);
    for (const ParameterDType& entry : spec_.parameter_dtypes) {
      if (entry.parameter == pattern) return entry.dtype;
    }
    return DType::kFloat32;
  }

  const LayerSpec& spec_;
  const int32_t owner_;
  const std::string prefix_;
  std::vector<ParameterSpec> parameters_;
};

}  // namespace

std::vector<ParameterSpec> ExpertParameters(const LayerSpec& spec,
                                            int32_t expert_id) {
  const int64_t hidden = spec.hidden_size;
  const bool is_branch = expert_id == spec.branch_id();
  ParameterList list(
      spec, expert_id,
      is_branch ? "dense." : absl::StrCat("experts.", expert_id, "."));
  const ExpertSpec& expert = spec.expert_of(expert_id);
  if (const auto* mlp = std::get_if<MlpExpertSpec>(&expert)) {
    list.AddLinear("fc1.", mlp->ffn_size, hidden, mlp->bias);
    list.AddLinear("fc2.", hidden, mlp->ffn_size, mlp->bias);
  } else if (const auto* gated = std::get_if<GatedExpertSpec>(&expert)) {
    list.AddLinear("gate_proj.", gated->ffn_size, hidden, gated->bias);
    list.AddLinear("up_proj.", gated->ffn_size, hidden, gated->bias);
    list.AddLinear("down_proj.", hidden, gated->ffn_size, gated->bias);
  } else if (const auto* linear = std::get_if<LinearExpertSpec>(&expert)) {
    list.AddLinear("", hidden, hidden, linear->bias);
  }
  return list.Take();
}

std::vector<ParameterSpec> GateParameters(const LayerSpec& spec) {
  const int64_t hidden = spec.hidden_size;
  ParameterList list(spec, kGateOwner, "");
  list.AddLinear("gate.", spec.num_experts, hidden, spec.gate.bias);
  if (spec.gate.score_correction_bias) {
    list.Add("gate.score_correction_bias", {spec.num_experts}, 0);
    list.back().constant = true;
  }
  if (!spec.dense_branch.has_value()) return list.Take();
  switch (spec.dense_branch->mix) {
    case BranchMix::kSum:
      break;
    case BranchMix::kSigmoidGate:
      list.AddLinear("dense_gate.", 1, hidden, /*bias=*/false);
      break;
    case BranchMix::kCoefficients:
      list.AddLinear("coefficient.", 2, hidden, /*bias=*/true);
      break;
    case BranchMix::kScale:
      list.Add("dense_scale", {1}, 0);
      list.back().initial_value = 1.0f;
      break;
  }
  return list.Take();
}

std::set<std::string> ParameterPatterns(const LayerSpec& spec) {
  std::set<std::string> patterns;
  for (const ParameterSpec& parameter : GateParameters(spec)) {
    patterns.insert(parameter.name);
  }
  constexpr absl::string_view kFirstExpert = "experts.0.";
  for (const ParameterSpec& parameter : ExpertParameters(spec, 0)) {
    patterns.insert(
        absl::StrCat("experts.*.", parameter.name.substr(kFirstExpert.size())));
  }
  if (!spec.dense_branch.has_value()) return patterns;
  for (const ParameterSpec& parameter :
       ExpertParameters(spec, spec.branch_id())) {
    patterns.insert(parameter.name);
  }
  return patterns;
}

absl::StatusOr<ParameterSpec> FindParameter(const LayerSpec& spec,
                                            absl::string_view name) {
  const auto find = [name](std::vector<ParameterSpec> parameters)
      -> std::optional<ParameterSpec> {
    for (ParameterSpec& parameter : parameters) {
      if (parameter.name == name) return std::move(parameter);
    }
    return std::nullopt;
  };
  std::optional<ParameterSpec> found;
  absl::string_view rest = name;
  int32_t expert_id = -1;
  if (absl::ConsumePrefix(&rest, "experts.")) {
    if (absl::SimpleAtoi(rest.substr(0, rest.find('.')), &expert_id) &&
        expert_id >= 0 && expert_id < spec.num_experts) {
      found = find(ExpertParameters(spec, expert_id));
    }
  } else if (absl::StartsWith(name, "dense.")) {
    if (spec.dense_branch.has_value()) {
      found = find(ExpertParameters(spec, spec.branch_id()));
    }
  } else {
    found = find(GateParameters(spec));
  }
  if (found.has_value()) return *std::move(found);
  return absl::NotFoundError(absl::StrCat(
      "layer '", spec.name, "' has no parameter '", name.substr(0, 128), "'"));
}

std::vector<ParameterSpec> AllParameters(const LayerSpec& spec) {
  std::vector<ParameterSpec> parameters = GateParameters(spec);
  for (int32_t expert_id = 0; expert_id < spec.num_hosted_experts();
       ++expert_id) {
    for (ParameterSpec& parameter : ExpertParameters(spec, expert_id)) {
      parameters.push_back(std::move(parameter));
    }
  }
  return parameters;
}

}  // namespace switchyard
