#ifndef SWITCHYARD_GATEWAY_MEMBERSHIP_LEASE_TABLE_H_
#define SWITCHYARD_GATEWAY_MEMBERSHIP_LEASE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/api/layer_calls.h"

namespace switchyard {

struct WorkerRegistration {
  std::string worker_id;
  std::string address;
  // Tells a restarted process from one that was only slow. Not 0.
  uint64_t incarnation = 0;
  std::string metrics_address;
  // Of workers that can exchange tokens among themselves; empty: none.
  std::string group;
};

// Who is in the registry and until when. A plain value: time comes in as an
// argument. Thread-compatible.
class LeaseTable {
 public:
  explicit LeaseTable(absl::Duration lease_duration)
      : lease_duration_(lease_duration) {}

  // INVALID_ARGUMENT for an ill-formed registration. A worker of the same id
  // that is up under another incarnation is replaced: `replaced` says so.
  absl::Status Register(const WorkerRegistration& worker, absl::Time now,
                        bool& replaced);
  // NOT_FOUND where there is no such lease.
  absl::Status Renew(const std::string& worker_id, uint64_t incarnation,
                     absl::Time now);
  absl::Status Leave(const std::string& worker_id, uint64_t incarnation);
  // Marks an up worker lost; false if it was not up.
  bool MarkLost(const std::string& worker_id, const std::string& reason);
  // Marks lost, and returns, those whose lease has run out at `now`.
  std::vector<std::string> Expire(absl::Time now);

  // In order of id; workers that are gone stay listed.
  std::vector<WorkerStatus> List(absl::Time now) const;
  // Rises whenever a worker joins or goes.
  uint64_t generation() const { return generation_; }
  int num_up() const;

 private:
  struct Entry {
    WorkerRegistration registration;
    WorkerState state = WorkerState::kUp;
    std::string reason;
    absl::Time last_renewal;
    // Generation of the entry's newest change: the oldest are forgotten first.
    uint64_t changed_at = 0;
  };
  void SetState(Entry& entry, WorkerState state, const std::string& reason);
  void ForgetOldest();

  absl::Duration lease_duration_;
  uint64_t generation_ = 0;
  absl::btree_map<std::string, Entry> entries_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_GATEWAY_MEMBERSHIP_LEASE_TABLE_H_
