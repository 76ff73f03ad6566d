#include "common/shared_memory/peer_region.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/shared_memory/mapping.h"

namespace switchyard {
namespace {

constexpr int kRequiredSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// First as a mere name, which nothing is opened by: the peer may have named a
// device or a pipe.
absl::StatusOr<int> OpenSource(const RegionSource& source) {
  const std::string path =
      absl::StrCat("/proc/", source.pid, "/fd/", source.fd);
  const ScopedFd name(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (name.get() < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(WithErrno(path),
                     ", expected a process of the same user, host and PID "
                     "namespace"));
  }
  struct stat found = {};
  if (fstat(name.get(), &found) != 0 || !S_ISREG(found.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("fd: got ", path, ", expected a memfd"));
  }
  const int fd = open(absl::StrCat("/proc/self/fd/", name.get()).c_str(),
                      O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::FailedPreconditionError(WithErrno(path));
  return fd;
}

// Of files only memfds can have these seals: others answer EINVAL, or are
// sealed against sealing alone.
absl::Status CheckSealed(int fd, const RegionSource& source) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) {
    return absl::InvalidArgumentError("fd: got a file, expected a memfd");
  }
  if ((seals & kRequiredSeals) != kRequiredSeals) {
    return absl::InvalidArgumentError(
        absl::StrCat("fd: got a memfd with seals ", seals,
                     ", expected one sealed against shrinking, growing and "
                     "sealing (",
                     kRequiredSeals, ")"));
  }
  struct stat found = {};
  if (fstat(fd, &found) != 0 || found.st_size != source.size_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("size_bytes: got ", source.size_bytes,
                     ", expected that of the memfd, ", found.st_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<char[]>> OpenPeerRegion(
    const RegionSource& source) {
  if (source.pid <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("pid: got ", source.pid, ", expected > 0"));
  }
  if (source.fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("fd: got ", source.fd, ", expected >= 0"));
  }
  if (source.size_bytes <= kRegionHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("size_bytes: got ", source.size_bytes,
                     ", expected more than ", kRegionHeaderBytes));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const int opened, OpenSource(source));
  const ScopedFd fd(opened);
  SWITCHYARD_RETURN_IF_ERROR(CheckSealed(fd.get(), source));
  SWITCHYARD_ASSIGN_OR_RETURN(
      std::shared_ptr<char[]> memory,
      MapShared(fd.get(), source.size_bytes, "mapping shared memory"));
  if (std::memcmp(memory.get(), source.token.data(), source.token.size()) !=
      0) {
    return absl::InvalidArgumentError(
        "token: got another one, expected the region's first 16 bytes");
  }
  return memory;
}

}  // namespace switchyard
