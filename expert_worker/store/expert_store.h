#ifndef SWITCHYARD_EXPERT_WORKER_STORE_EXPERT_STORE_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_EXPERT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/concurrency/thread_pool.h"
#include "common/model/layer_spec.h"
#include "expert_worker/store/stored_expert.h"

namespace switchyard {

// The experts of one layer that a worker hosts, by rising expert id; hosted_idx
// is the position. Which experts these are never changes. As for what is in
// them, see StoredExpert.
class ExpertStore {
 public:
  // Parameters in their dtypes and, unless the layer is inference_only,
  // gradients and optimizer state of the given experts, each once. Below 2^62
  // for a spec that passed Validate. Unit: bytes.
  static int64_t SizeBytes(const LayerSpec& spec,
                           absl::Span<const int32_t> expert_ids);
  // What Make takes beside for a while: initial values are drawn in float32,
  // one parameter per task. Unit: bytes.
  static int64_t MakingBytes(const LayerSpec& spec,
                             absl::Span<const int32_t> expert_ids,
                             const ThreadPool& pool);

  // Makes the experts, in parallel. `expert_ids` are some of the layer's,
  // branch_id() among them or not, rising, each once. RESOURCE_EXHAUSTED if the
  // system has not enough memory.
  static absl::StatusOr<std::unique_ptr<ExpertStore>> Make(
      const LayerSpec& spec, std::vector<int32_t> expert_ids, ThreadPool& pool);

  int64_t num_hosted() const { return static_cast<int64_t>(experts_.size()); }
  const std::vector<int32_t>& expert_ids() const { return expert_ids_; }
  // -1 if the expert is not hosted; `expert_id` may be any number.
  int32_t HostedIdx(int32_t expert_id) const;

  StoredExpert& expert(int64_t hosted_idx) {
    return *experts_[static_cast<size_t>(hosted_idx)];
  }
  const StoredExpert& expert(int64_t hosted_idx) const {
    return *experts_[static_cast<size_t>(hosted_idx)];
  }

  // To be held by who uses gradients; for who keeps all others out already it
  // is free.
  Mutex& gradients_mutex() const { return gradients_mutex_; }

 private:
  explicit ExpertStore(std::vector<int32_t> expert_ids);

  const std::vector<int32_t> expert_ids_;
  std::vector<std::unique_ptr<StoredExpert>> experts_;
  mutable Mutex gradients_mutex_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_EXPERT_STORE_H_
