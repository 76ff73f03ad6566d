#include "gateway/routing/gate_draws.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/random/philox.h"
#include "gateway/routing/capacity.h"

namespace switchyard {
namespace {

struct DrawKey {
  uint64_t seed;
  absl::string_view layer;
  uint64_t step;
  uint32_t microbatch;
};

// [num_tokens, width] of transform(u), u uniform in (0, 1). Each token owns a
// run of whole blocks, so that its numbers stay where they are when other
// tokens come or go.
template <typename Transform>
Tensor Draw(const DrawKey& key, absl::string_view stream, int64_t num_tokens,
            int64_t width, Transform transform) {
  const PhiloxStream random(
      MakePhiloxKey(key.seed, absl::StrCat(key.layer, stream)), key.step,
      key.microbatch);
  Tensor drawn = Tensor::Uninitialized({num_tokens, width});
  uint64_t block_idx = 0;
  for (int64_t token = 0; token < num_tokens; ++token) {
    float* row = drawn.row(token);
    for (int64_t begin = 0; begin < width; begin += 4, ++block_idx) {
      const PhiloxBlock block = random.Block(block_idx);
      const int64_t end = std::min(begin + 4, width);
      for (int64_t i = begin; i < end; ++i) {
        row[i] = transform(
            ToOpenUnitInterval(block[static_cast<size_t>(i - begin)]));
      }
    }
  }
  return drawn;
}

float Gumbel(float u) { return -std::log(-std::log(u)); }
float Same(float u) { return u; }

// Columns of draws.gumbel; 0: none.
int64_t GumbelWidth(const LayerSpec& spec) {
  const GateSpec& gate = spec.gate;
  if (gate.selection == Selection::kSparseMixer) return 2 * spec.num_experts;
  if (gate.selection != Selection::kTopK) return 0;
  const bool needed =
      (gate.k == 1 && gate.noise_policy == NoisePolicy::kRSample) ||
      (gate.k == 2 && gate.second_expert_sampling);
  return needed ? spec.num_experts : 0;
}

// Pairs of uniforms make pairs of normals (Box and Muller, 1958).
Tensor DrawNormal(const DrawKey& key, int64_t num_tokens, int64_t width,
                  float standard_deviation) {
  const int64_t num_pairs = (width + 1) / 2;
  const Tensor uniforms =
      Draw(key, "/gaussian", num_tokens, 2 * num_pairs, Same);
  Tensor normals = Tensor::Uninitialized({num_tokens, width});
  constexpr float kTwoPi = 6.28318530717958648f;
  for (int64_t token = 0; token < num_tokens; ++token) {
    const float* u = uniforms.row(token);
    float* row = normals.row(token);
    for (int64_t i = 0; i < width; ++i) {
      const float radius = std::sqrt(-2.0f * std::log(u[i / 2 * 2]));
      const float angle = kTwoPi * u[i / 2 * 2 + 1];
      row[i] = standard_deviation * radius *
               (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
    }
  }
  return normals;
}

void DrawForTraining(const LayerSpec& spec, const DrawKey& key,
                     int64_t num_tokens, GateDraws& draws) {
  const GateSpec& gate = spec.gate;
  if (gate.noise_policy == NoisePolicy::kJitter) {
    const float epsilon = gate.jitter_epsilon;
    draws.jitter = Draw(
        key, "/jitter", num_tokens, spec.hidden_size,
        [epsilon](float u) { return (1.0f - epsilon) + 2.0f * epsilon * u; });
  }
  if (gate.noise_policy == NoisePolicy::kGaussian) {
    draws.gaussian =
        DrawNormal(key, num_tokens, spec.num_experts, gate.gaussian_std);
  }
  if (const int64_t width = GumbelWidth(spec); width > 0) {
    draws.gumbel = Draw(key, "/gumbel", num_tokens, width, Gumbel);
  }
  if (gate.selection == Selection::kSparseMixer) {
    draws.mixer_uniform = Draw(key, "/mixer", num_tokens, 2, Same);
  }
  if (gate.second_expert_random) {
    draws.second_uniform = Draw(key, "/second", num_tokens, 1, Same);
  }
}

}  // namespace

GateDraws DrawForForward(const LayerSpec& spec, Mode mode, int64_t num_tokens,
                         uint64_t step, uint32_t microbatch) {
  const DrawKey key{spec.seed, spec.name, step, microbatch};
  GateDraws draws;
  if (mode == Mode::kTrain) DrawForTraining(spec, key, num_tokens, draws);
  if (spec.gate.k == 1 && spec.gate.use_rts &&
      spec.gate.selection == Selection::kTopK && CanDrop(spec.capacity, mode)) {
    draws.rts_uniform = Draw(key, "/rts", num_tokens, spec.num_experts, Same);
  }
  return draws;
}

}  // namespace switchyard
