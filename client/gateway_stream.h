#ifndef SWITCHYARD_CLIENT_GATEWAY_STREAM_H_
#define SWITCHYARD_CLIENT_GATEWAY_STREAM_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/gateway_client.h"
#include "common/api/layer_calls.h"

namespace switchyard {

// Calls of a gateway pipelined on one stream: the next is on its way while the
// one before computes. What is ordered, and how, says Gateway.Stream in
// proto/switchyard/v1/gateway.proto.
//
// A call returns at once. Its `done` runs exactly once if the call returned OK,
// on a thread of gRPC, and must not block; it may make further calls. Errors
// are the gateway's own; all calls in progress end with UNAVAILABLE or
// CANCELLED when the stream breaks. A request's tensors must not be written to
// until it is answered. Thread-safe.
class GatewayStream {
 public:
  template <typename Result>
  using Done = std::function<void(absl::StatusOr<Result>)>;

  // `options.timeout` is each call's. More than `max_in_progress` calls at once
  // are refused (RESOURCE_EXHAUSTED).
  explicit GatewayStream(const std::string& address,
                         GatewayClientOptions options = {},
                         int max_in_progress = 64);
  // Cancels what is in progress and waits for its `done`s; not to be called by
  // one of them.
  ~GatewayStream();
  GatewayStream(const GatewayStream&) = delete;
  GatewayStream& operator=(const GatewayStream&) = delete;

  absl::Status Forward(const ForwardRequest& request, Done<ForwardResult> done);
  absl::Status Backward(const BackwardRequest& request,
                        Done<BackwardResult> done);
  absl::Status Step(const StepRequest& request, Done<StepResult> done);
  absl::Status TrainStep(const TrainStepRequest& request,
                         Done<TrainStepResult> done);

  // Sends nothing more, waits until all is answered, and returns what the
  // stream ended with. Not to be called by a `done`.
  absl::Status Finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_CLIENT_GATEWAY_STREAM_H_
