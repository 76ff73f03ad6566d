// Experts in float64, straight from the formulas: slow and obviously right.
#ifndef SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_EXPERT_H_
#define SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_EXPERT_H_

#include <vector>

#include "absl/types/span.h"
#include "common/model/expert_spec.h"

namespace switchyard::testing {

using Doubles = std::vector<double>;

Doubles ToDoubles(absl::Span<const float> values);

double ReferenceActivation(Activation activation, double x);

// h of gated_product.h for one element.
double ReferenceGatedProduct(const GatedExpertSpec& spec, double gate,
                             double up);

// The output of an expert for one token. `parameters` are flattened, in the
// order of ExpertParameters.
Doubles ReferenceExpert(const ExpertSpec& spec,
                        const std::vector<Doubles>& parameters,
                        const Doubles& x);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_EXPERT_WORKER_TESTING_REFERENCE_EXPERT_H_
