#ifndef SWITCHYARD_COMMON_SAFETENSORS_MAPPED_FILE_H_
#define SWITCHYARD_COMMON_SAFETENSORS_MAPPED_FILE_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// A file's bytes, read-only, straight from the page cache: pages come in as
// they are touched and the kernel takes them back when memory is short. Whoever
// shortens the file meanwhile makes reads of the lost part fault (SIGBUS), so
// checkpoints must not be changed in place while in use; replacing them by a
// rename is fine. Immutable.
class MappedFile {
 public:
  // NOT_FOUND if there is no such file, INVALID_ARGUMENT if it is not a regular
  // file, the operating system's error otherwise; all name `path`.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  // No bytes at all.
  MappedFile() = default;

  MappedFile(MappedFile&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  absl::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(absl::string_view bytes) : bytes_(bytes) {}

  absl::string_view bytes_;
};

// Tells the kernel that `bytes`, a part of a mapped file, will be read soon and
// in order. Only advice: it cannot fail.
void AdviseWillRead(absl::string_view bytes);

// Tells the kernel that `bytes`, a part of a mapped file, need not stay in this
// process's memory. They stay in the page cache while there is room and come
// back when read again.
void AdviseDone(absl::string_view bytes);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_MAPPED_FILE_H_
