#ifndef SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_FILE_H_
#define SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_FILE_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/safetensors/header.h"
#include "common/safetensors/mapped_file.h"

namespace switchyard {

// A tensor in a file: its declaration, and its bytes where the file has them.
struct SafetensorsTensor {
  TensorDeclaration declaration;
  absl::string_view bytes;
};

// The tensors of one safetensors file, none of them copied. Immutable.
class SafetensorsFile {
 public:
  // Maps the file and checks its header; see MappedFile::Open and ParseHeader
  // for the errors, which name `path`. No tensor's bytes are read.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  // The same of bytes in memory, which must outlive the result. `name` stands
  // for the path.
  static absl::StatusOr<SafetensorsFile> Parse(absl::string_view bytes,
                                               absl::string_view name);

  const std::string& name() const { return name_; }
  // By position in the file.
  absl::Span<const SafetensorsTensor> tensors() const { return tensors_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }
  // Everything before the first tensor.
  absl::string_view header_bytes() const {
    return bytes_.substr(0, header_bytes_);
  }
  // The whole file.
  absl::string_view bytes() const { return bytes_; }

  // nullptr if the file has no tensor of that name.
  const SafetensorsTensor* Find(absl::string_view tensor) const;

 private:
  SafetensorsFile(MappedFile file, absl::string_view bytes,
                  absl::string_view name);
  void Adopt(SafetensorsHeader header);

  MappedFile file_;
  absl::string_view bytes_;
  std::string name_;
  std::vector<SafetensorsTensor> tensors_;
  SafetensorsMetadata metadata_;
  size_t header_bytes_ = 0;
  // Position in tensors_ of each name.
  absl::flat_hash_map<std::string, size_t> positions_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_FILE_H_
