#ifndef SWITCHYARD_SERVICES_RPC_DRAIN_H_
#define SWITCHYARD_SERVICES_RPC_DRAIN_H_

#include <functional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/rpc_server.h"
#include "services/rpc/unary_handler.h"

namespace switchyard {

// How a server ends: health checks answer NOT_SERVING, new calls UNAVAILABLE;
// those in progress get `grace`, then the calls that they wait for (`calls`)
// are cancelled, and so are they; returns when all handlers have returned.
// `end_streams`, if any, ends what stays open until then. Idempotent.
void Drain(RpcServer& server, absl::Span<UnaryHandler* const> handlers,
           OutboundCalls& calls, absl::Duration grace, Clock& clock,
           const std::function<void()>& end_streams = nullptr);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_DRAIN_H_
