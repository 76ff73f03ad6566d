#ifndef SWITCHYARD_EXPERT_WORKER_WORKER_H_
#define SWITCHYARD_EXPERT_WORKER_WORKER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/api/expert_calls.h"
#include "common/base/call_context.h"
#include "common/base/clock.h"

namespace prometheus {
class Registry;
}

namespace switchyard {

struct WorkerOptions {
  std::string worker_id;
  // Threads that compute; the calling thread helps them. 0: it computes alone.
  int num_compute_threads = 1;
  // Most bytes kept for Backward, over all layers.
  int64_t max_kept_activation_bytes = int64_t{1} << 30;
  // What is kept longer than this without Backward is thrown away.
  absl::Duration kept_activation_ttl = absl::Minutes(10);
  // Most bytes of parameters, gradients and optimizer state.
  int64_t max_parameter_bytes = int64_t{16} << 30;
  // Most bytes that the calls in progress take for their computation and
  // results; a call that would exceed it is refused (RESOURCE_EXHAUSTED).
  int64_t max_working_bytes = int64_t{4} << 30;
  // The folder below which it may read checkpoints by itself; empty: nowhere.
  std::string import_root;
};

// An expert worker without its network: hosts experts of layers, computes, and
// updates them. services/expert_worker_service.h puts gRPC in front of it,
// embedded/in_process_expert_group.h calls it directly.
//
// Calls block while they compute; errors are those of gateway/expert_group.h,
// and everything in a request is checked, so that none can end the process.
// A layer may be unloaded while calls to it are under way: they finish, and
// what they leave goes with it. Thread-safe.
//
// A training step of a layer: Forwards in train mode keep what their Backwards
// need, under (step, microbatch) and of the open step only; Backwards consume
// it and add to the gradients; PrepareStep declares the gradients final (no
// Forward in train mode and no Backward until the step ends); CommitStep
// applies them and opens the next step, AbortStep throws them away and opens
// the same step again. Docs of the states: layer/layer_steps.h; of the orders
// of summation: dispatch/combine.h, layer/expert_pass.h.
class Worker {
 public:
  // `clock` and `metrics` must outlive the worker.
  Worker(WorkerOptions options, Clock& clock, prometheus::Registry& metrics);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // A layer may be hosted with no experts at all. ABORTED if the layer is
  // unloaded before loading is done.
  absl::Status LoadExperts(const LoadExpertsRequest& request);
  absl::Status UnloadExperts(const std::string& layer);
  // Forgets everything, as a worker that registers anew must.
  void UnloadAll();

  absl::StatusOr<std::vector<ParameterSlice>> ReadExperts(
      const ReadExpertsRequest& request);
  // Gradients may be written between PrepareStep and CommitStep only.
  absl::Status WriteExperts(const WriteExpertsRequest& request);

  // Reads experts from a folder below WorkerOptions::import_root.
  absl::Status ImportExperts(const ImportExpertsRequest& request);

  // These two stop soon after `call` is over, with its status, and leave
  // nothing behind; but a Backward that has begun to add to gradients ends.
  absl::StatusOr<ExpertForwardResult> Forward(
      const ExpertForwardRequest& request,
      const CallContext& call = absl::InfiniteFuture());
  absl::StatusOr<ExpertBackwardResult> Backward(
      const ExpertBackwardRequest& request,
      const CallContext& call = absl::InfiniteFuture());
  // Forgets what the Forward of that key and earlier ones of that microbatch
  // have kept. OK if there is nothing, or no such layer.
  absl::Status DropMicrobatch(const std::string& layer,
                              const MicrobatchKey& key);

  absl::StatusOr<PrepareStepResult> PrepareStep(const StepKey& key);
  absl::Status CommitStep(const StepKey& key, float learning_rate);
  absl::Status AbortStep(const StepKey& key);

  WorkerReport GetStatus() const;
  const std::string& worker_id() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_WORKER_H_
