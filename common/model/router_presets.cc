#include "common/model/router_presets.h"

#include <functional>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace switchyard {
namespace {

// torch.finfo(torch.float32).eps.
constexpr float kFloat32Epsilon = std::numeric_limits<float>::epsilon();

AuxLossSpec SwitchLoss(float coefficient) {
  return {.kind = AuxLossKind::kSwitch, .coefficient = coefficient};
}

// Softmax over all experts, weights renormalised over the chosen ones. The loss
// is Hugging Face's, which is k at balance.
GateSpec SoftmaxTopK(int32_t k, bool renormalise) {
  GateSpec gate;
  gate.k = k;
  gate.normalization =
      renormalise ? WeightNormalization::kChosen : WeightNormalization::kNone;
  gate.aux_losses = {SwitchLoss(static_cast<float>(k))};
  return gate;
}

// Softmax over the chosen experts' logits alone.
GateSpec ChosenSoftmax(int32_t k) {
  GateSpec gate = SoftmaxTopK(k, /*renormalise=*/false);
  gate.rank_by = RankBy::kLogits;
  gate.normalization = WeightNormalization::kChosenSoftmax;
  return gate;
}

GateSpec DeepSeekV2() {
  GateSpec gate = SoftmaxTopK(6, /*renormalise=*/false);
  gate.group_limit = GroupLimitSpec{
      .num_groups = 8, .num_selected_groups = 3, .score = GroupScore::kMax};
  gate.scaling_factor = 16.0f;
  return gate;
}

GateSpec DeepSeekV3() {
  GateSpec gate;
  gate.k = 8;
  gate.score_function = ScoreFunction::kSigmoid;
  gate.score_correction_bias = true;
  gate.bias_update_rate = 1e-3f;
  gate.group_limit = GroupLimitSpec{
      .num_groups = 8, .num_selected_groups = 4, .score = GroupScore::kTop2Sum};
  gate.normalization = WeightNormalization::kChosen;
  gate.normalization_epsilon = 1e-20f;
  gate.scaling_factor = 2.5f;
  gate.aux_losses = {{.kind = AuxLossKind::kSequence, .coefficient = 1e-4f}};
  return gate;
}

GateSpec Glm45() {
  GateSpec gate = DeepSeekV3();
  gate.group_limit.reset();
  gate.scaling_factor = 1.0f;
  return gate;
}

GateSpec Ernie45() {
  GateSpec gate = SoftmaxTopK(6, /*renormalise=*/true);
  gate.score_correction_bias = true;
  gate.normalization_floor = 1e-12f;
  return gate;
}

GateSpec GptOss() {
  GateSpec gate = ChosenSoftmax(4);
  gate.bias = true;
  return gate;
}

GateSpec Llama4() {
  GateSpec gate = SoftmaxTopK(1, /*renormalise=*/false);
  gate.score_function = ScoreFunction::kSigmoid;
  gate.rank_by = RankBy::kLogits;
  gate.weight_application = WeightApplication::kInput;
  return gate;
}

GateSpec Phi35() {
  GateSpec gate = SoftmaxTopK(2, /*renormalise=*/false);
  gate.selection = Selection::kSparseMixer;
  return gate;
}

GateSpec Hunyuan() {
  GateSpec gate = SoftmaxTopK(8, /*renormalise=*/true);
  gate.normalization_floor = kFloat32Epsilon;
  return gate;
}

GateSpec Switch() {
  GateSpec gate = SoftmaxTopK(1, /*renormalise=*/false);
  gate.use_rts = false;
  gate.noise_policy = NoisePolicy::kJitter;
  return gate;
}

GateSpec Nllb() {
  GateSpec gate;
  gate.k = 2;
  gate.normalization = WeightNormalization::kKept;
  gate.normalization_floor = kFloat32Epsilon;
  gate.aux_losses = {{.kind = AuxLossKind::kGShard, .coefficient = 1.0f}};
  return gate;
}

GateSpec GShard() {
  GateSpec gate;
  gate.k = 2;
  gate.normalization = WeightNormalization::kChosen;
  gate.second_expert_random = true;
  gate.aux_losses = {{.kind = AuxLossKind::kGShard, .coefficient = 1.0f}};
  return gate;
}

const std::map<std::string, std::function<GateSpec()>>& Presets() {
  static const auto& presets =
      *new std::map<std::string, std::function<GateSpec()>>{
          {"deepseek-v2", DeepSeekV2},
          {"deepseek-v2-greedy",
           [] { return SoftmaxTopK(6, /*renormalise=*/false); }},
          {"deepseek-v3", DeepSeekV3},
          {"deepspeed", [] { return GateSpec(); }},
          {"ernie-4.5", Ernie45},
          {"glm-4.5", Glm45},
          {"gpt-oss", GptOss},
          {"granite-moe", [] { return ChosenSoftmax(8); }},
          {"gshard", GShard},
          {"hunyuan-v1", Hunyuan},
          {"llama-4", Llama4},
          {"mixtral", [] { return SoftmaxTopK(2, /*renormalise=*/true); }},
          {"nllb-moe", Nllb},
          {"olmoe", [] { return SoftmaxTopK(8, /*renormalise=*/false); }},
          {"phi-3.5-moe", Phi35},
          {"qwen2-moe", [] { return SoftmaxTopK(4, /*renormalise=*/false); }},
          {"qwen3-moe", [] { return SoftmaxTopK(8, /*renormalise=*/true); }},
          {"switch", Switch}};
  return presets;
}

}  // namespace

absl::StatusOr<GateSpec> RouterPreset(absl::string_view name) {
  const auto found = Presets().find(std::string(name));
  if (found != Presets().end()) return found->second();
  return absl::InvalidArgumentError(absl::StrCat(
      "spec.gate.preset: got '", name.substr(0, 64), "', expected one of ",
      absl::StrJoin(RouterPresetNames(), ", ")));
}

std::vector<std::string> RouterPresetNames() {
  std::vector<std::string> names;
  for (const auto& [name, make] : Presets()) names.push_back(name);
  return names;
}

}  // namespace switchyard
