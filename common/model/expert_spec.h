// What one expert computes. Mirrors ExpertSpec of
// proto/switchyard/v1/layer.proto, where each field is documented.
#ifndef SWITCHYARD_COMMON_MODEL_EXPERT_SPEC_H_
#define SWITCHYARD_COMMON_MODEL_EXPERT_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace switchyard {

enum class Activation { kRelu, kGelu, kGeluTanh, kSilu };

// y = x W^T + b.
struct LinearExpertSpec {
  bool bias = true;
};

// y = act(x W1^T + b1) W2^T + b2.
struct MlpExpertSpec {
  int64_t ffn_size = 0;
  Activation activation = Activation::kRelu;
  bool bias = true;
};

// GPT-OSS: with g = min(gate, limit) and u = clamp(up, -limit, limit) the
// product is (u + 1) * g * sigmoid(alpha * g); the activation does not apply.
struct ClampedGateSpec {
  float limit = 7.0f;
  float alpha = 1.702f;
};

// y = (act(x Wg^T + bg) * (x Wu^T + bu)) Wd^T + bd: SwiGLU with SiLU, GeGLU
// with GELU (Shazeer, 2020, arXiv 2002.05202).
struct GatedExpertSpec {
  int64_t ffn_size = 0;
  Activation activation = Activation::kSilu;
  bool bias = false;
  std::optional<ClampedGateSpec> clamp;
};

// y = x, without parameters.
struct IdentityExpertSpec {};

using ExpertSpec = std::variant<LinearExpertSpec, MlpExpertSpec,
                                GatedExpertSpec, IdentityExpertSpec>;

// INVALID_ARGUMENT naming the first field, from `field` on, that is out of
// range.
absl::Status ValidateExpert(const ExpertSpec& expert, absl::string_view field);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_MODEL_EXPERT_SPEC_H_
