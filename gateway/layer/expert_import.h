#ifndef SWITCHYARD_GATEWAY_LAYER_EXPERT_IMPORT_H_
#define SWITCHYARD_GATEWAY_LAYER_EXPERT_IMPORT_H_

#include "absl/status/statusor.h"
#include "common/api/layer_calls.h"
#include "gateway/layer/expert_exchange.h"

namespace switchyard {

// Asks every worker to read those of `request`'s experts that it hosts from the
// folder, in parallel. Workers that may not or cannot see it are no error: they
// are listed, and their experts are not among the imported. Other errors are
// returned; experts of a call that failed have undefined values.
absl::StatusOr<ImportParametersResult> ImportExperts(
    const ExchangeContext& context, const ImportParametersRequest& request);

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_LAYER_EXPERT_IMPORT_H_
