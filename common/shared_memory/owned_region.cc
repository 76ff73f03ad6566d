#include "common/shared_memory/owned_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/shared_memory/mapping.h"

namespace switchyard {
namespace {

absl::StatusOr<RegionToken> DrawToken() {
  RegionToken token;
  // Up to 256 bytes come whole or not at all.
  if (getrandom(token.data(), token.size(), 0) !=
      static_cast<ssize_t>(token.size())) {
    return absl::ResourceExhaustedError(WithErrno("getrandom"));
  }
  return token;
}

}  // namespace

absl::StatusOr<std::shared_ptr<OwnedRegion>> OwnedRegion::Create(
    int64_t size_bytes) {
  const int64_t page_bytes = kRegionHeaderBytes;
  const int64_t rounded_bytes =
      (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
  const std::string what =
      absl::StrCat("shared memory of ", rounded_bytes, " bytes");
  ScopedFd fd(memfd_create("switchyard", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd.get() < 0 || ftruncate(fd.get(), rounded_bytes) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
          0) {
    return absl::ResourceExhaustedError(WithErrno(what));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(std::shared_ptr<char[]> memory,
                              MapShared(fd.get(), rounded_bytes, what));
  RegionSource source = {.pid = getpid(), .size_bytes = rounded_bytes};
  SWITCHYARD_ASSIGN_OR_RETURN(source.token, DrawToken());
  std::memcpy(memory.get(), source.token.data(), source.token.size());
  source.fd = fd.Release();
  return std::shared_ptr<OwnedRegion>(
      new OwnedRegion(std::move(memory), source));
}

OwnedRegion::OwnedRegion(std::shared_ptr<char[]> memory,
                         const RegionSource& source)
    : memory_(std::move(memory)),
      source_(source),
      slots_(kRegionHeaderBytes, source.size_bytes, kRegionAlignmentBytes) {}

OwnedRegion::~OwnedRegion() { CloseSource(); }

RegionSource OwnedRegion::source() const {
  MutexLock lock(mutex_);
  return source_;
}

void OwnedRegion::CloseSource() {
  MutexLock lock(mutex_);
  const ScopedFd closed(std::exchange(source_.fd, -1));
}

std::shared_ptr<float[]> OwnedRegion::Allocate(int64_t num_bytes) {
  std::optional<int64_t> offset;
  {
    MutexLock lock(mutex_);
    offset = slots_.Take(num_bytes);
  }
  if (!offset.has_value()) return nullptr;
  return std::shared_ptr<float[]>(
      reinterpret_cast<float*>(memory_.get() + *offset),
      [region = shared_from_this(), at = *offset](float* /*data*/) {
        MutexLock lock(region->mutex_);
        region->slots_.GiveBack(at);
      });
}

std::optional<int64_t> OwnedRegion::OffsetOf(const void* data,
                                             int64_t num_bytes) const {
  const auto begin = reinterpret_cast<uintptr_t>(memory_.get());
  const auto address = reinterpret_cast<uintptr_t>(data);
  if (address < begin) return std::nullopt;
  const auto offset = static_cast<int64_t>(address - begin);
  MutexLock lock(mutex_);
  return slots_.Contains(offset, num_bytes) ? std::optional(offset)
                                            : std::nullopt;
}

void OwnedRegion::Abandon(const void* data) {
  const int64_t offset = static_cast<const char*>(data) - memory_.get();
  MutexLock lock(mutex_);
  slots_.Abandon(offset);
}

int64_t OwnedRegion::abandoned_bytes() const {
  MutexLock lock(mutex_);
  return slots_.abandoned_bytes();
}

}  // namespace switchyard
