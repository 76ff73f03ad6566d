// What the tests of this folder share: layers, random numbers, and the step
// from the router's types to the reference model's.
#ifndef SWITCHYARD_GATEWAY_ROUTING_ROUTING_TESTING_H_
#define SWITCHYARD_GATEWAY_ROUTING_ROUTING_TESTING_H_

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "gateway/routing/reference_gate.h"
#include "gateway/routing/router.h"

namespace switchyard::testing {

// A dropless layer unless told otherwise.
inline LayerSpec TestLayer(int32_t k, int32_t num_experts) {
  LayerSpec spec;
  spec.name = "test/layer";
  spec.hidden_size = 8;
  spec.num_experts = num_experts;
  spec.gate.k = k;
  spec.gate.use_rts = false;
  spec.capacity.drop_tokens = false;
  spec.capacity.min_capacity = 0;
  return spec;
}

inline LayerSpec DroppingLayer(int32_t k, int32_t num_experts,
                               float capacity_factor) {
  LayerSpec spec = TestLayer(k, num_experts);
  spec.capacity.drop_tokens = true;
  spec.capacity.capacity_factor = capacity_factor;
  return spec;
}

inline Tensor RandomNormal(const Shape& shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::Uninitialized(shape);
  for (float& value : tensor.values()) value = normal(random);
  return tensor;
}

inline Tensor RandomUniform(const Shape& shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform;
  Tensor tensor = Tensor::Uninitialized(shape);
  for (float& value : tensor.values()) value = uniform(random);
  return tensor;
}

// RouteTokens of a batch that has nothing but these.
inline RoutingDecision Route(const LayerSpec& spec, Mode mode,
                             ConstMatrix logits,
                             const GateDraws& draws = GateDraws(),
                             const std::vector<bool>& used_tokens = {}) {
  RouterInput input;
  input.logits = logits;
  input.draws = &draws;
  input.used_tokens = &used_tokens;
  return RouteTokens(spec, mode, input);
}

// Empty for a tensor of 0 elements.
inline Matrix ToMatrix(ConstMatrix m) {
  Matrix matrix;
  for (int64_t i = 0; i < m.num_rows; ++i) {
    matrix.emplace_back(m.row(i), m.row(i) + m.num_cols);
  }
  return matrix;
}

}  // namespace switchyard::testing

#endif  // SWITCHYARD_GATEWAY_ROUTING_ROUTING_TESTING_H_
