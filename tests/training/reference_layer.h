// An MoE layer in float64, slow and plain, for finite differences. Routes are
// given: the loss is differentiated where routing does not change.
#ifndef SWITCHYARD_TESTS_TRAINING_REFERENCE_LAYER_H_
#define SWITCHYARD_TESTS_TRAINING_REFERENCE_LAYER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/model/layer_spec.h"

namespace switchyard::testing {

struct ReferenceInputs {
  int64_t num_tokens = 0;
  // [tokens * hidden_size].
  std::vector<double> x;
  // By name: gate.weight, experts.0.weight, ...
  std::map<std::string, std::vector<double>> parameters;
  // [tokens * k] of a client that routed itself; empty: the layer routes.
  std::vector<double> topk_weights;
};

struct ReferenceRoutes {
  // [tokens * k], -1: dropped.
  std::vector<int32_t> expert_ids;
  // [num_experts] before dropping.
  std::vector<int64_t> expert_counts;
};

// sum(y * g) + alpha * l_aux, the latter for DeepSpeed's loss alone.
double ReferenceLoss(const LayerSpec& spec, const ReferenceInputs& inputs,
                     const ReferenceRoutes& routes,
                     const std::vector<double>& g, double alpha);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_TRAINING_REFERENCE_LAYER_H_
