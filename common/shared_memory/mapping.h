#ifndef SWITCHYARD_COMMON_SHARED_MEMORY_MAPPING_H_
#define SWITCHYARD_COMMON_SHARED_MEMORY_MAPPING_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// The bytes of `fd` from its start, shared and writable, until the last owner
// is gone. `what` begins the error: RESOURCE_EXHAUSTED.
absl::StatusOr<std::shared_ptr<char[]>> MapShared(int fd, int64_t size_bytes,
                                                  absl::string_view what);

// "<what>: <the system's words for the current errno>".
std::string WithErrno(absl::string_view what);

// Closes it at the end of its scope.
class ScopedFd {
 public:
  explicit ScopedFd(int fd) : fd_(fd) {}
  ~ScopedFd();
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;

  int get() const { return fd_; }
  // The caller closes it.
  int Release();

 private:
  int fd_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SHARED_MEMORY_MAPPING_H_
