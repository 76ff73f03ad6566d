#include "common/safetensors/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

// madvise over the pages that `bytes` touches.
void Advise(absl::string_view bytes, int advice) {
  if (bytes.empty()) return;
  static const auto page_bytes =
      static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t page = begin / page_bytes * page_bytes;
  ::madvise(reinterpret_cast<void*>(page), begin - page + bytes.size(), advice);
}

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  const auto close = absl::MakeCleanup([fd] { ::close(fd); });
  struct stat status;
  if (::fstat(fd, &status) != 0) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is not a regular file"));
  }
  // mmap refuses a length of zero.
  if (status.st_size == 0) return MappedFile(absl::string_view());
  const auto size = static_cast<size_t>(status.st_size);
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return absl::ErrnoToStatus(errno, path);
  return MappedFile(absl::string_view(static_cast<const char*>(data), size));
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

void AdviseWillRead(absl::string_view bytes) { Advise(bytes, MADV_WILLNEED); }

void AdviseDone(absl::string_view bytes) { Advise(bytes, MADV_DONTNEED); }

}  // namespace switchyard
