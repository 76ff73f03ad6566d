#ifndef SWITCHYARD_TESTS_TESTING_PARAMETERS_TESTING_H_
#define SWITCHYARD_TESTS_TESTING_PARAMETERS_TESTING_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/api/layer_calls.h"
#include "tests/testing/layer_api.h"

namespace switchyard::testing {

// Every parameter of a layer whole, by name.
absl::StatusOr<std::map<std::string, std::vector<float>>> ReadAll(
    LayerApi& api, const std::string& layer,
    ParameterKind kind = ParameterKind::kValue);

// Overwrites one whole parameter of a layer with this spec.
absl::Status WriteWhole(LayerApi& api, const LayerSpec& spec,
                        const std::string& name,
                        absl::Span<const float> values);

// Numbers in (-1, 1), always the same for the same stream.
Tensor RandomTensor(const Shape& shape, uint32_t stream);

}  // namespace switchyard::testing

#endif  // SWITCHYARD_TESTS_TESTING_PARAMETERS_TESTING_H_
