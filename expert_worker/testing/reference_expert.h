// Experts in float64, straight from the formulas: slow and obviously right.
#ifndef SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_EXPERT_H_

#include <vector>

#include "absl/types/span.h"
#include "common/model/layer_spec.h"

namespace switchyard::testing {

using Doubles = std::vector<double>;

Doubles ToDoubles(absl::Span<const float> values);

double ReferenceActivation(Activation activation, double x);

// The output of an expert for one token. `parameters` are flattened, in the
// order of ExpertParameters.
Doubles ReferenceExpert(const ExpertSpec& spec,
                        const std::vector<Doubles>& parameters,
                        const Doubles& x);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_EXPERT_H_
