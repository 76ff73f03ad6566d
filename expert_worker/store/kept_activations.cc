#include "expert_worker/store/kept_activations.h"

#include <algorithm>

namespace switchyard {

// Batches are destroyed after the lock is released: they are large.

void KeptActivations::Put(LayerId layer, const MicrobatchKey& key,
                          std::shared_ptr<KeptBatch> batch, absl::Time now) {
  Dropped dropped;
  MutexLock lock(mutex_);
  dropped = TakeAttempts(layer, key);
  if (IsLaterAttempt(entries_.upper_bound({layer, key}), layer, key)) return;
  Entry& entry = entries_[{layer, key}];
  entry.batch.swap(batch);
  entry.expires = now + ttl_;
  next_expiry_ = std::min(next_expiry_, entry.expires);
}

bool KeptActivations::IsLaterAttempt(Entries::const_iterator entry,
                                     LayerId layer,
                                     const MicrobatchKey& key) const {
  return entry != entries_.end() && entry->first.first == layer &&
         entry->first.second.step == key.step &&
         entry->first.second.microbatch == key.microbatch;
}

KeptActivations::Dropped KeptActivations::TakeAttempts(
    LayerId layer, const MicrobatchKey& key) {
  Dropped dropped;
  MicrobatchKey first = key;
  first.attempt = 0;
  auto entry = entries_.lower_bound({layer, first});
  while (entry != entries_.end() && entry->first <= Key{layer, key}) {
    dropped.push_back(std::move(entry->second.batch));
    entry = entries_.erase(entry);
  }
  return dropped;
}

std::shared_ptr<const KeptBatch> KeptActivations::Find(
    LayerId layer, const MicrobatchKey& key) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find({layer, key});
  return found == entries_.end() ? nullptr : found->second.batch;
}

std::shared_ptr<KeptBatch> KeptActivations::Take(LayerId layer,
                                                 const MicrobatchKey& key,
                                                 const KeptBatch& batch) {
  MutexLock lock(mutex_);
  const auto found = entries_.find({layer, key});
  if (found == entries_.end() || found->second.batch.get() != &batch) {
    return nullptr;
  }
  std::shared_ptr<KeptBatch> taken = std::move(found->second.batch);
  entries_.erase(found);
  return taken;
}

void KeptActivations::Drop(LayerId layer, const MicrobatchKey& key) {
  Dropped dropped;
  MutexLock lock(mutex_);
  dropped = TakeAttempts(layer, key);
}

void KeptActivations::DropLayer(LayerId layer) {
  Dropped dropped;
  MutexLock lock(mutex_);
  auto entry = entries_.lower_bound({layer, MicrobatchKey{}});
  while (entry != entries_.end() && entry->first.first == layer) {
    dropped.push_back(std::move(entry->second.batch));
    entry = entries_.erase(entry);
  }
}

void KeptActivations::DropExpired(absl::Time now) {
  Dropped dropped;
  MutexLock lock(mutex_);
  if (now < next_expiry_) return;
  next_expiry_ = absl::InfiniteFuture();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->second.expires <= now) {
      dropped.push_back(std::move(entry->second.batch));
      entry = entries_.erase(entry);
    } else {
      next_expiry_ = std::min(next_expiry_, entry->second.expires);
      ++entry;
    }
  }
}

}  // namespace switchyard
