#ifndef SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_WRITER_H_
#define SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/safetensors/atomic_file.h"
#include "common/safetensors/header.h"
#include "common/safetensors/safetensors_file.h"

namespace switchyard {

// Writes one safetensors file: the header first, then the tensors' bytes as
// they are appended. Thread-compatible.
class SafetensorsWriter {
 public:
  // `tensors` in the order in which their bytes will come. INVALID_ARGUMENT as
  // EncodeHeader; otherwise see AtomicFile.
  static absl::StatusOr<SafetensorsWriter> Create(
      const std::string& path, const std::vector<TensorDeclaration>& tensors,
      const SafetensorsMetadata& metadata);

  // With the header of another file, byte by byte, and so its tensors in its
  // order.
  static absl::StatusOr<SafetensorsWriter> CreateLike(
      const std::string& path, const SafetensorsFile& other);

  // The next bytes, in parts of any size, across the tensors' borders too.
  // INVALID_ARGUMENT if they are more than the header announces.
  absl::Status Append(absl::string_view bytes);

  // FAILED_PRECONDITION if bytes are missing. Nothing may be called afterwards.
  absl::Status Finish();

 private:
  static absl::StatusOr<SafetensorsWriter> Start(const std::string& path,
                                                 absl::string_view header,
                                                 int64_t tensor_bytes);

  SafetensorsWriter(const std::string& path, AtomicFile file,
                    int64_t missing_bytes)
      : path_(path), file_(std::move(file)), missing_bytes_(missing_bytes) {}

  std::string path_;
  AtomicFile file_;
  int64_t missing_bytes_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_WRITER_H_
