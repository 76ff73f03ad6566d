// Refusing bad requests before anything is touched. Each error names the field,
// what came and what was expected.
#ifndef SWITCHYARD_GATEWAY_LAYER_REQUEST_CHECKS_H_
#define SWITCHYARD_GATEWAY_LAYER_REQUEST_CHECKS_H_

#include "absl/status/status.h"
#include "common/api/layer_calls.h"
#include "common/model/layer_spec.h"
#include "gateway/training/microbatch_table.h"

namespace switchyard {

// FAILED_PRECONDITION for a layer that serves only.
absl::Status CheckTrainable(const LayerSpec& spec);
absl::Status CheckForward(const LayerSpec& spec, const ForwardRequest& request);
absl::Status CheckBackward(const BackwardRequest& request,
                           const OpenMicrobatch& microbatch);
absl::Status CheckTrainStep(const LayerSpec& spec,
                            const TrainStepRequest& request);
// Names, ranges and values of all slices.
absl::Status CheckWriteParameters(const LayerSpec& spec,
                                  const WriteParametersRequest& request);
absl::Status CheckImportParameters(const LayerSpec& spec,
                                   const ImportParametersRequest& request);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_REQUEST_CHECKS_H_
