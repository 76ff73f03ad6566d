#ifndef SWITCHYARD_SERVICES_RPC_ANSWERED_H_
#define SWITCHYARD_SERVICES_RPC_ANSWERED_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace switchyard {

// Marks, in its trailers, an error that the peer's handler answered with once
// it was done; OK needs no mark.
void MarkAnswered(const absl::Status& status,
                  grpc::CallbackServerContext& context);

// Whether the handler of a call that has ended is done with it, too. False
// where our own gRPC gave up (deadline, cancelling, connection): it may be at
// work still.
bool WasAnswered(const grpc::Status& status,
                 const grpc::ClientContext& context);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_ANSWERED_H_
