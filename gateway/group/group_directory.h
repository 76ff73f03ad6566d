#ifndef SWITCHYARD_GATEWAY_GROUP_GROUP_DIRECTORY_H_
#define SWITCHYARD_GATEWAY_GROUP_GROUP_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "gateway/gateway_metrics.h"
#include "gateway/group/group_link.h"

namespace switchyard {

// The groups that take calls now. Thread-safe.
class GroupDirectory {
 public:
  // Both must outlive the directory.
  GroupDirectory(Clock& clock, GatewayMetrics& metrics)
      : clock_(clock), metrics_(metrics) {}

  struct Place {
    std::shared_ptr<GroupLink> link;
    int32_t rank = 0;
  };
  // Where a worker takes part; nothing if its calls are made one by one.
  std::optional<Place> Find(const ExpertGroup* worker) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Workers that are up, by the name of their group, in order of id.
  using Groups = absl::btree_map<std::string, std::vector<GroupedWorker>>;

  // Makes the links what `groups` says: one for each group of two workers and
  // more. Those that are broken, or have other members, are formed anew; after
  // a failure that waits a while. Blocks for seconds where workers do not
  // answer.
  void Form(const Groups& groups) ABSL_LOCKS_EXCLUDED(mutex_, form_mutex_);

 private:
  struct Entry {
    // Null: none could be formed.
    std::shared_ptr<GroupLink> link;
    absl::Time retry_at = absl::InfinitePast();
    absl::Duration backoff;
  };

  // Ends links that no longer are what `groups` says.
  void EndOutdated(const Groups& groups)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(form_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  void FormOne(const std::string& name,
               const std::vector<GroupedWorker>& members, Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(form_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes Find see the entries.
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(form_mutex_)
      ABSL_LOCKS_EXCLUDED(mutex_);

  Clock& clock_;
  GatewayMetrics& metrics_;

  // Held while links are formed, before mutex_.
  Mutex form_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  absl::btree_map<std::string, Entry> entries_ ABSL_GUARDED_BY(form_mutex_);

  mutable Mutex mutex_;
  absl::flat_hash_map<const ExpertGroup*, Place> places_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_GROUP_GROUP_DIRECTORY_H_
