// Reading and writing a layer's parameters, wherever they are.
#ifndef SWITCHYARD_GATEWAY_LAYER_PARAMETER_ACCESS_H_
#define SWITCHYARD_GATEWAY_LAYER_PARAMETER_ACCESS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"
#include "gateway/layer/expert_exchange.h"
#include "gateway/layer/gate.h"

namespace switchyard {

// Default and ceiling of a page.
inline constexpr int64_t kMaxPageBytes = int64_t{16} << 20;

// One page: values from the first replica of each expert, gradients summed over
// all replicas. `step` of the result is left to the caller. INVALID_ARGUMENT
// for a bad cursor or page size, NOT_FOUND for a name.
absl::StatusOr<ReadParametersResult> ReadParameterPage(
    const ExchangeContext& context, const Gate& gate,
    const ReadParametersRequest& request);

// Writes to every replica. The request must have passed CheckWriteParameters.
absl::Status WriteParameterSlices(const ExchangeContext& context, Gate& gate,
                                  const WriteParametersRequest& request);

// Reads ranges of one set of experts' gradients from each of the workers that
// replicate them and sums, in the order of `worker_idx`.
absl::StatusOr<std::vector<ParameterSlice>> ReadSummedGradients(
    const ExchangeContext& context, const std::vector<int32_t>& worker_idx,
    const std::vector<ParameterRange>& ranges);

// Writes slices to each of the workers.
absl::Status WriteToWorkers(const ExchangeContext& context,
                            const std::vector<int32_t>& worker_idx,
                            const std::vector<ParameterSlice>& slices,
                            ParameterKind kind);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_PARAMETER_ACCESS_H_
