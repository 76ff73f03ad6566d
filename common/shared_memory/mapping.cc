#include "common/shared_memory/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace switchyard {

absl::StatusOr<std::shared_ptr<char[]>> MapShared(int fd, int64_t size_bytes,
                                                  absl::string_view what) {
  const auto num_bytes = static_cast<size_t>(size_bytes);
  void* const memory =
      mmap(nullptr, num_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(WithErrno(what));
  }
  return std::shared_ptr<char[]>(
      static_cast<char*>(memory),
      [num_bytes](char* mapped) { munmap(mapped, num_bytes); });
}

std::string WithErrno(absl::string_view what) {
  return absl::StrCat(what, ": ", std::generic_category().message(errno));
}

ScopedFd::~ScopedFd() {
  if (fd_ >= 0) close(fd_);
}

int ScopedFd::Release() { return std::exchange(fd_, -1); }

}  // namespace switchyard
