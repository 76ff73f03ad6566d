// The one place where statuses change between Abseil and gRPC.
#ifndef SWITCHYARD_SERVICES_RPC_STATUS_CONVERSION_H_
#define SWITCHYARD_SERVICES_RPC_STATUS_CONVERSION_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace switchyard {

// The message is cut at 1 KiB: it travels in headers, of which gRPC takes
// 8 KiB.
grpc::Status ToGrpcStatus(const absl::Status& status);

// A code outside of the known ones becomes UNKNOWN.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_STATUS_CONVERSION_H_
