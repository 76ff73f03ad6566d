#include "common/safetensors/safetensors_writer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard {

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(
    const std::string& path, const std::vector<TensorDeclaration>& tensors,
    const SafetensorsMetadata& metadata) {
  absl::StatusOr<std::string> header = EncodeHeader(tensors, metadata);
  if (!header.ok()) {
    return absl::Status(header.status().code(),
                        absl::StrCat(path, ": ", header.status().message()));
  }
  int64_t tensor_bytes = 0;
  for (const TensorDeclaration& tensor : tensors) {
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t size_bytes, SizeBytesOf(tensor));
    tensor_bytes += size_bytes;
  }
  return Start(path, *header, tensor_bytes);
}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::CreateLike(
    const std::string& path, const SafetensorsFile& other) {
  const absl::string_view header = other.header_bytes();
  return Start(path, header,
               static_cast<int64_t>(other.bytes().size() - header.size()));
}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Start(
    const std::string& path, absl::string_view header, int64_t tensor_bytes) {
  SWITCHYARD_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  SWITCHYARD_RETURN_IF_ERROR(file.Append(header));
  return SafetensorsWriter(path, std::move(file), tensor_bytes);
}

absl::Status SafetensorsWriter::Append(absl::string_view bytes) {
  const auto size_bytes = static_cast<int64_t>(bytes.size());
  if (size_bytes > missing_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": got ", size_bytes, " bytes, expected ",
                     missing_bytes_, ", what the header has left"));
  }
  missing_bytes_ -= size_bytes;
  return file_.Append(bytes);
}

absl::Status SafetensorsWriter::Finish() {
  if (missing_bytes_ != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path_, ": ", missing_bytes_, " bytes of tensors are missing"));
  }
  return file_.Commit();
}

}  // namespace switchyard
