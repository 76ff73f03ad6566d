#include "services/main/gateway_flags.h"

#include <cstdint>
#include <limits>
#include <optional>

namespace switchyard {

std::variant<GatewayFlags, FlagExit> ParseGatewayFlags(
    int argc, const char* const* argv) {
  GatewayFlags flags;
  GatewayOptions& gateway = flags.server.gateway;
  MoeLayerLimits& layer = gateway.layer_limits;
  FlagParser parser("switchyard-gateway",
                    "Serves MoE layers: runs their gates, and sends tokens to "
                    "the expert workers that register with it.");
  AddAddressFlags(parser, flags.server.listen_address,
                  flags.server.metrics_address);
  parser.BeginGroup("Workers");
  parser.AddMilliseconds("lease-duration-ms", {100, 3'600'000},
                         "Time after which a silent worker is lost",
                         gateway.lease_duration);
  parser.AddInteger("worker-shared-memory-bytes",
                    {0, std::numeric_limits<int64_t>::max()},
                    "Memory shared with each worker that serves on a unix "
                    "socket; 0: none, tensors are sent",
                    flags.server.worker_shared_memory_bytes);
  AddLimitFlags(parser, flags.server.limits);
  parser.AddInteger("max-stream-requests", {1, 100'000},
                    "Requests of one stream in progress; no more are read "
                    "until some have ended",
                    flags.server.limits.max_stream_requests);
  parser.AddInteger("max-stream-request-bytes",
                    {1, std::numeric_limits<int64_t>::max()},
                    "From so many bytes of them on no more are read",
                    flags.server.limits.max_stream_request_bytes);
  parser.AddInteger("max-layers", {1, 1'000'000}, "Layers at most",
                    gateway.max_layers);
  parser.AddInteger("max-open-microbatch-bytes",
                    {0, std::numeric_limits<int64_t>::max()},
                    "Most bytes kept for Backward, for each layer",
                    layer.max_open_microbatch_bytes);
  parser.AddInteger("max-gate-bytes", {1, std::numeric_limits<int64_t>::max()},
                    "Most bytes of gate weights, their gradients and optimizer "
                    "state, for each layer",
                    layer.max_gate_bytes);
  parser.AddMilliseconds("microbatch-ttl-ms", {1, 86'400'000},
                         "A microbatch without Backward for longer than this "
                         "breaks its step",
                         layer.microbatch_ttl);
  parser.AddMilliseconds("worker-call-timeout-ms", {1, 86'400'000},
                         "Most time that one call to a worker gets",
                         layer.worker_call_timeout);
  parser.AddInteger("max-merged-tokens", {0, 1 << 20},
                    "Merge eval forwards of a layer that come at the same time "
                    "into one dispatch, up to so many tokens; 0: never",
                    layer.merge.max_tokens);
  parser.AddMicroseconds("max-merge-wait-us", {0, 1'000'000},
                         "How long an eval forward waits for others to be "
                         "merged with",
                         layer.merge.max_wait);
  AddProcessFlags(parser, flags.process);
  if (const std::optional<FlagExit> flag_exit = parser.Parse(argc, argv)) {
    return *flag_exit;
  }
  return flags;
}

}  // namespace switchyard
