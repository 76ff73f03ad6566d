#include "gateway/routing/gate_draws.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/random/philox.h"
#include "gateway/routing/capacity.h"

namespace switchyard {
namespace {

// DeepSpeed's multiplicative_jitter has epsilon = 1e-2.
constexpr float kJitterEpsilon = 0.01f;

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

bool NeedsGumbel(const GateSpec& gate, Mode mode) {
  if (mode != Mode::kTrain) return false;
  if (gate.k == 1) return gate.noise_policy == NoisePolicy::kRSample;
  return gate.k == 2 && gate.second_expert_sampling;
}

}  // namespace

GateDraws DrawForForward(const LayerSpec& spec, Mode mode, int64_t num_tokens,
                         uint64_t step, uint32_t microbatch) {
  const DrawKey key{spec.seed, spec.name, step, microbatch};
  GateDraws draws;
  if (mode == Mode::kTrain && spec.gate.noise_policy == NoisePolicy::kJitter) {
    draws.jitter =
        Draw(key, "/jitter", num_tokens, spec.hidden_size, [](float u) {
          return (1.0f - kJitterEpsilon) + 2.0f * kJitterEpsilon * u;
        });
  }
  if (NeedsGumbel(spec.gate, mode)) {
    draws.gumbel = Draw(key, "/gumbel", num_tokens, spec.num_experts,
                        [](float u) { return -std::log(-std::log(u)); });
  }
  if (spec.gate.k == 1 && spec.gate.use_rts && CanDrop(spec.capacity, mode)) {
    draws.rts_uniform = Draw(key, "/rts", num_tokens, spec.num_experts,
                             [](float u) { return u; });
  }
  return draws;
}

}  // namespace switchyard
