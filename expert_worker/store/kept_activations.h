#ifndef SWITCHYARD_EXPERT_WORKER_STORE_KEPT_ACTIVATIONS_H_
#define SWITCHYARD_EXPERT_WORKER_STORE_KEPT_ACTIVATIONS_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "common/api/expert_calls.h"
#include "common/base/mutex.h"
#include "expert_worker/dispatch/routed_batch.h"
#include "expert_worker/store/byte_budget.h"

namespace switchyard {

// What one Forward left for its Backward, and the bytes that are counted for
// it until nobody uses it any more.
struct KeptBatch {
  RoutedBatch batch;
  ByteReservation reservation;
};

// What Forwards left for their Backwards, of all layers of a worker, until
// Backward, the end of the step, or expiry. Thread-safe.
class KeptActivations {
 public:
  // Names one load of a layer: a layer that is loaded again gets another.
  using LayerId = uint64_t;

  explicit KeptActivations(absl::Duration ttl) : ttl_(ttl) {}

  // Takes the place of what is kept of that microbatch, unless that is of a
  // later attempt: then it is for nobody.
  void Put(LayerId layer, const MicrobatchKey& key,
           std::shared_ptr<KeptBatch> batch, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // nullptr if nothing is kept under that key.
  std::shared_ptr<const KeptBatch> Find(LayerId layer,
                                        const MicrobatchKey& key) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes `batch` out; nullptr if it is not there any more, so that of several
  // callers who found it one alone gets it and may change what is kept in it.
  std::shared_ptr<KeptBatch> Take(LayerId layer, const MicrobatchKey& key,
                                  const KeptBatch& batch)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Forgets a microbatch's attempts up to the key's, or all of a layer.
  void Drop(LayerId layer, const MicrobatchKey& key)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void DropLayer(LayerId layer) ABSL_LOCKS_EXCLUDED(mutex_);
  // Forgets what has been kept for the time to live or longer.
  void DropExpired(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Key = std::pair<LayerId, MicrobatchKey>;
  struct Entry {
    std::shared_ptr<KeptBatch> batch;
    absl::Time expires;
  };

  using Entries = absl::btree_map<Key, Entry>;
  using Dropped = std::vector<std::shared_ptr<const KeptBatch>>;

  // Whether `entry` is of the key's microbatch.
  bool IsLaterAttempt(Entries::const_iterator entry, LayerId layer,
                      const MicrobatchKey& key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the attempts up to the key's out.
  Dropped TakeAttempts(LayerId layer, const MicrobatchKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration ttl_;
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // No entry expires before; spares DropExpired the walk.
  absl::Time next_expiry_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_STORE_KEPT_ACTIVATIONS_H_
