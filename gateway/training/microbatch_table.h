#ifndef SWITCHYARD_GATEWAY_TRAINING_MICROBATCH_TABLE_H_
#define SWITCHYARD_GATEWAY_TRAINING_MICROBATCH_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/tensor/tensor.h"
#include "gateway/dispatch/dispatch_plan.h"
#include "gateway/routing/router.h"

namespace switchyard {

// What the gateway keeps of a train-mode forward for its backward.
struct OpenMicrobatch {
  // MicrobatchKey::attempt of its forward.
  uint64_t attempt = 0;
  // In the shape in which the client sent it.
  Tensor x;
  // The gate's input factors; empty without jitter.
  Tensor jitter;
  RoutingDecision decision;
  // The client routed: there is no gradient to the router, but one to the
  // client's weights.
  bool pre_routed = false;
  std::optional<BranchWeights> branch;
  TokenRoutes routes;
  DispatchPlan plan;

  int64_t size_bytes() const;
};

// The microbatches of the open step: reserved by a forward, opened when it is
// done, taken by the backward. Bounded in bytes. Thread-compatible.
class MicrobatchTable {
 public:
  MicrobatchTable(int64_t max_bytes, absl::Duration ttl)
      : max_bytes_(max_bytes), ttl_(ttl) {}

  // Takes a number, the lowest free one where none is asked for; numbers are
  // not used twice in a step. FAILED_PRECONDITION if it is taken;
  // RESOURCE_EXHAUSTED if no bytes are left.
  absl::StatusOr<uint32_t> Reserve(std::optional<uint32_t> microbatch,
                                   absl::Time now);
  // The forward failed: the number is free again.
  void Release(uint32_t microbatch);
  void Open(uint32_t microbatch, OpenMicrobatch kept);

  // The microbatch, for its backward to look at. FAILED_PRECONDITION if it is
  // not open (never forwarded, still forwarding, or already sent backward).
  absl::StatusOr<const OpenMicrobatch*> Find(uint64_t step,
                                             uint32_t microbatch) const;
  // Removes it; its number stays used.
  OpenMicrobatch Take(uint32_t microbatch);

  // Numbers of those reserved or open, in order.
  std::vector<uint32_t> OpenNumbers() const;
  // Whether one has been open for longer than the time to live.
  std::optional<uint32_t> FindExpired(absl::Time now) const;
  // A new step: everything goes, numbers start again.
  void Clear();

 private:
  enum class Phase { kForwarding, kOpen, kTaken };
  struct Entry {
    Phase phase = Phase::kForwarding;
    absl::Time since;
    OpenMicrobatch kept;
  };

  int64_t max_bytes_;
  absl::Duration ttl_;
  int64_t bytes_ = 0;
  absl::btree_map<uint32_t, Entry> entries_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_TRAINING_MICROBATCH_TABLE_H_
