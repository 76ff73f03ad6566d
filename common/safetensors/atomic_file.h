#ifndef SWITCHYARD_COMMON_SAFETENSORS_ATOMIC_FILE_H_
#define SWITCHYARD_COMMON_SAFETENSORS_ATOMIC_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// Writes a file aside and gives it its name when it is complete and on disk, so
// that under `path` there is ever either what was there before or the whole new
// file.
class AtomicFile {
 public:
  // The operating system's error, naming the path, in all functions.
  static absl::StatusOr<AtomicFile> Create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  // Removes what was written unless Commit succeeded.
  ~AtomicFile();

  absl::Status Append(absl::string_view bytes);

  // Syncs the file, renames it and syncs the folder. Nothing may be called
  // afterwards.
  absl::Status Commit();

 private:
  AtomicFile(const std::string& path, const std::string& aside, int fd)
      : path_(path), aside_(aside), fd_(fd) {}

  absl::Status Flush();
  absl::Status Write(absl::string_view bytes);

  std::string path_;
  std::string aside_;
  // -1: moved from, or committed.
  int fd_;
  // Small parts are gathered here.
  std::string buffer_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_ATOMIC_FILE_H_
