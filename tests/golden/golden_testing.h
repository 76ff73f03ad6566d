// DeepSpeed's golden cases as layers of this service.
#ifndef SWITCHYARD_TESTS_GOLDEN_GOLDEN_TESTING_H_
#define SWITCHYARD_TESTS_GOLDEN_GOLDEN_TESTING_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/model/layer_spec.h"
#include "common/testing/golden_case.h"
#include "tests/testing/layer_api.h"

namespace switchyard::testing {

// The layer that a case's parameters describe, named after the case.
LayerSpec SpecOf(const GoldenCase& golden_case);

// Why the case asks for something that layers do not offer, if so.
std::optional<std::string> NotOffered(const GoldenCase& golden_case);

// A way to the layer: the public RPCs, or, where the case brings random numbers
// of its own, the library below them with those numbers.
std::unique_ptr<LayerApi> ApiFor(const GoldenArrays& arrays, int num_workers);

// |got - want| <= 2e-6 + tolerance * max|want|, element by element, as
// README.md suggests.
void ExpectClose(absl::Span<const float> got, absl::Span<const float> want,
                 double tolerance, const std::string& what);
inline constexpr double kLayerTolerance = 2e-5;
inline constexpr double kTrainTolerance = 1e-4;

// Writes a case's gate and expert parameters into the layer.
absl::Status WriteGoldenParameters(LayerApi& api, const LayerSpec& spec,
                                   const GoldenArrays& arrays);

// Compares parameters (or gradients) of the layer with the case's arrays, whose
// names are those of the parameters with `prefix` in front: grad_, final_.
void ExpectGoldenParameters(LayerApi& api, const LayerSpec& spec,
                            const GoldenArrays& arrays,
                            const std::string& prefix, ParameterKind kind,
                            double tolerance);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_GOLDEN_GOLDEN_TESTING_H_
