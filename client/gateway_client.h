#ifndef SWITCHYARD_CLIENT_GATEWAY_CLIENT_H_
#define SWITCHYARD_CLIENT_GATEWAY_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/api/layer_calls.h"

namespace switchyard {

struct GatewayClientOptions {
  // Each call's deadline.
  absl::Duration timeout = absl::Seconds(60);
  // Largest message accepted or sent, as the gateway's flag of that name.
  int64_t max_message_bytes = int64_t{64} << 20;
  // Sends activations as bfloat16 instead of float32: half the bytes, 8 bits
  // of precision.
  bool bfloat16_activations = false;
  // With a gateway on a unix socket: memory that it shares with this client, in
  // which float32 tokens and answers stay instead of being sent. What finds no
  // room in it is sent; 0: all is.
  int64_t shared_memory_bytes = int64_t{128} << 20;
};

// What became of tensors of 16 KiB and more that a client had to send.
struct SharedMemoryUse {
  // Calls whose tensor stayed in shared memory, and whose was sent although
  // the client has some: none was attached then, or it had no room.
  int64_t num_shared_calls = 0;
  int64_t num_inline_calls = 0;
};

// A gateway at the other end of a connection. Calls block until answered or
// until the timeout; errors are the gateway's own, or UNAVAILABLE when it
// cannot be reached. Nothing is retried. Thread-safe.
//
// Answers may lie in memory shared with the gateway: they keep their place in
// it until they are destroyed, which may be after the client is.
class GatewayClient {
 public:
  // Does not connect yet: the first call does. `address` is host:port or
  // unix:/path.
  explicit GatewayClient(const std::string& address,
                         GatewayClientOptions options = {});
  ~GatewayClient();
  GatewayClient(GatewayClient&&) noexcept;
  GatewayClient& operator=(GatewayClient&&) noexcept;

  // `awaits_import`: the layer serves only after an ImportParameters with
  // `finish`.
  absl::StatusOr<LayerStatus> CreateLayer(const LayerSpec& spec,
                                          bool awaits_import = false);
  absl::StatusOr<LayerStatus> GetLayer(const std::string& name);
  absl::StatusOr<std::vector<LayerStatus>> ListLayers();
  absl::Status DeleteLayer(const std::string& name);

  absl::StatusOr<ForwardResult> Forward(const ForwardRequest& request);
  absl::StatusOr<BackwardResult> Backward(const BackwardRequest& request);
  absl::StatusOr<StepResult> Step(const StepRequest& request);
  absl::StatusOr<TrainStepResult> TrainStep(const TrainStepRequest& request);

  // One page; ReadAllParameters follows the cursor to the end.
  absl::StatusOr<ReadParametersResult> ReadParameters(
      const ReadParametersRequest& request);
  absl::StatusOr<std::vector<ParameterSlice>> ReadAllParameters(
      const ReadParametersRequest& request);
  absl::Status WriteParameters(const WriteParametersRequest& request);
  absl::StatusOr<ImportParametersResult> ImportParameters(
      const ImportParametersRequest& request);

  // Memory for the tokens or gradients of a request, in memory shared with the
  // gateway where there is room: they are then not copied. A tensor whose call
  // ended with CANCELLED, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE or UNKNOWN
  // may still be read by the gateway: write to a new one for the next call.
  Tensor AllocateTensor(const Shape& shape);
  // Waits until the gateway has attached the shared memory, which the first
  // call with tokens would otherwise start; at most the timeout. An error says
  // why there is none; calls work without.
  absl::Status AwaitSharedMemory();
  SharedMemoryUse shared_memory_use() const;

  absl::StatusOr<PlacementMap> GetPlacement(const std::string& layer);
  absl::StatusOr<std::vector<LayerLoad>> GetLoad(const std::string& layer);
  absl::StatusOr<WorkerList> ListWorkers();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_CLIENT_GATEWAY_CLIENT_H_
