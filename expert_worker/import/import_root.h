#ifndef SWITCHYARD_EXPERT_WORKER_IMPORT_IMPORT_ROOT_H_
#define SWITCHYARD_EXPERT_WORKER_IMPORT_IMPORT_ROOT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/checkpoint/checkpoint_folder.h"

namespace switchyard {

// The folder below which a worker may read checkpoints by itself: what a client
// names never leads out of it. Thread-safe.
class ImportRoot {
 public:
  // Empty: nothing may be read.
  explicit ImportRoot(std::string root) : root_(std::move(root)) {}

  // Opens the folder, or the one that was opened last if it is the same.
  // PERMISSION_DENIED: it is not absolute, or does not lie at or below the
  // root, links resolved; NOT_FOUND: there is none; FAILED_PRECONDITION: its
  // fingerprint is another.
  absl::StatusOr<std::shared_ptr<const CheckpointFolder>> Open(
      const std::string& directory, uint64_t fingerprint)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::string root_;
  Mutex mutex_;
  std::shared_ptr<const CheckpointFolder> last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_IMPORT_IMPORT_ROOT_H_
