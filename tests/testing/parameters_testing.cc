#include "tests/testing/parameters_testing.h"

#include "common/base/status_macros.h"
#include "common/model/parameters.h"
#include "common/random/philox.h"

namespace switchyard::testing {

absl::StatusOr<std::map<std::string, std::vector<float>>> ReadAll(
    LayerApi& api, const std::string& layer, ParameterKind kind) {
  std::map<std::string, std::vector<float>> values;
  ReadParametersRequest request;
  request.layer = layer;
  request.kind = kind;
  do {
    SWITCHYARD_ASSIGN_OR_RETURN(const ReadParametersResult page,
                                api.ReadParameters(request));
    for (const ParameterSlice& slice : page.slices) {
      std::vector<float>& whole = values[slice.name];
      whole.insert(whole.end(), slice.values.begin(), slice.values.end());
    }
    request.cursor = page.next_cursor;
  } while (!request.cursor.empty());
  return values;
}

absl::Status WriteWhole(LayerApi& api, const LayerSpec& spec,
                        const std::string& name,
                        absl::Span<const float> values) {
  SWITCHYARD_ASSIGN_OR_RETURN(const ParameterSpec parameter,
                              FindParameter(spec, name));
  WriteParametersRequest request;
  request.layer = spec.name;
  request.slices.push_back(
      {.name = name,
       .shape = parameter.shape,
       .offset = 0,
       .values = std::vector<float>(values.begin(), values.end())});
  return api.WriteParameters(request);
}

Tensor RandomTensor(const Shape& shape, uint32_t stream) {
  Tensor tensor = Tensor::Zeros(shape);
  const PhiloxStream random(MakePhiloxKey(1, "tests"), stream, 0);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const uint32_t bits = random.Block(static_cast<uint64_t>(i))[0];
    tensor.data()[i] = 2.0f * ToOpenUnitInterval(bits) - 1.0f;
  }
  return tensor;
}

}  // namespace switchyard::testing
