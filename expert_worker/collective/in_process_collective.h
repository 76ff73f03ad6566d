#ifndef SWITCHYARD_EXPERT_WORKER_COLLECTIVE_IN_PROCESS_COLLECTIVE_H_
#define SWITCHYARD_EXPERT_WORKER_COLLECTIVE_IN_PROCESS_COLLECTIVE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "common/base/mutex.h"
#include "expert_worker/collective/collective.h"

namespace switchyard {

// Where members in one process find each other: for tests and for the embedded
// mode. Thread-safe.
class InProcessNetwork : public std::enable_shared_from_this<InProcessNetwork> {
 public:
  static std::shared_ptr<InProcessNetwork> Create();

  // INVALID_ARGUMENT for a rank that does not exist. The end keeps the network
  // alive.
  absl::StatusOr<std::unique_ptr<Collective>> MakeMember(int rank, int size)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The messages of one group; internal.
  class Room;
  // The room that is called `address`, made by the first who asks.
  std::shared_ptr<Room> RoomAt(const std::string& address)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  InProcessNetwork() = default;

  Mutex mutex_;
  uint64_t last_address_ ABSL_GUARDED_BY(mutex_) = 0;
  // A room lives as long as one of its members.
  absl::flat_hash_map<std::string, std::weak_ptr<Room>> rooms_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COLLECTIVE_IN_PROCESS_COLLECTIVE_H_
