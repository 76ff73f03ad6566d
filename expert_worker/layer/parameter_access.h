// Finding the parameters that ReadExperts and WriteExperts name.
#ifndef SWITCHYARD_EXPERT_WORKER_LAYER_PARAMETER_ACCESS_H_
#define SWITCHYARD_EXPERT_WORKER_LAYER_PARAMETER_ACCESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/api/expert_calls.h"
#include "common/model/layer_spec.h"
#include "common/tensor/tensor.h"
#include "expert_worker/store/expert_store.h"

namespace switchyard {

// A parameter of an expert that is hosted here.
struct HostedParameter {
  int32_t hosted_idx = 0;
  int32_t idx_in_expert = 0;
  Shape shape;
};

// Which parameter a range or slice is of. NOT_FOUND if the layer has none of
// that name, INVALID_ARGUMENT for the gate's and for elements outside the
// parameter, FAILED_PRECONDITION if the expert is not hosted.
absl::StatusOr<HostedParameter> FindRange(const LayerSpec& spec,
                                          const ExpertStore& store,
                                          const std::string& worker_id,
                                          const ParameterRange& range);
// In addition INVALID_ARGUMENT if the slice's shape is not the parameter's, and
// where the layer has int8_weights if it begins or ends within a row.
absl::StatusOr<HostedParameter> FindSlice(const LayerSpec& spec,
                                          const ExpertStore& store,
                                          const std::string& worker_id,
                                          const ParameterSlice& slice);

// FAILED_PRECONDITION: the expert is not hosted by this worker.
absl::Status ExpertNotHosted(int32_t expert_id, const std::string& layer,
                             const std::string& worker_id);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_LAYER_PARAMETER_ACCESS_H_
