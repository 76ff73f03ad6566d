#ifndef SWITCHYARD_SERVICES_GATEWAY_STREAM_H_
#define SWITCHYARD_SERVICES_GATEWAY_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "gateway/gateway.h"
#include "services/rpc/unary_handler.h"

namespace switchyard {

// Gateway.Stream: several requests in progress at once, in the order that
// stream_order.h asks for, as `limits` allows; beyond that it does not read on.
// A request counts until its answer has been written, so a client that reads no
// answers is read no requests from. When the client leaves, all of its requests
// are cancelled; when it has nothing more to send, they end and then the
// stream; when the server drains too, with UNAVAILABLE.
//
// Returns what the method of the service is to return. All must outlive the
// server.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartGatewayStream(
    Gateway& gateway, UnaryHandler& handler, const ServerLimits& limits,
    grpc::CallbackServerContext& context);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_GATEWAY_STREAM_H_
