#include "common/safetensors/safetensors_file.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

absl::StatusOr<SafetensorsHeader> ParseNamedHeader(absl::string_view bytes,
                                                   absl::string_view name) {
  absl::StatusOr<SafetensorsHeader> header = ParseHeader(bytes);
  if (header.ok()) return header;
  return absl::Status(header.status().code(),
                      absl::StrCat(name, ": ", header.status().message()));
}

}  // namespace

SafetensorsFile::SafetensorsFile(MappedFile file, absl::string_view bytes,
                                 absl::string_view name)
    : file_(std::move(file)), bytes_(bytes), name_(name) {}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SWITCHYARD_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  const absl::string_view bytes = mapped.bytes();
  SWITCHYARD_ASSIGN_OR_RETURN(SafetensorsHeader header,
                              ParseNamedHeader(bytes, path));
  SafetensorsFile file(std::move(mapped), bytes, path);
  file.Adopt(std::move(header));
  return file;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(absl::string_view bytes,
                                                       absl::string_view name) {
  SWITCHYARD_ASSIGN_OR_RETURN(SafetensorsHeader header,
                              ParseNamedHeader(bytes, name));
  SafetensorsFile file(MappedFile(), bytes, name);
  file.Adopt(std::move(header));
  return file;
}

void SafetensorsFile::Adopt(SafetensorsHeader header) {
  header_bytes_ = static_cast<size_t>(header.size_bytes);
  metadata_ = std::move(header.metadata);
  const absl::string_view data = bytes_.substr(header_bytes_);
  tensors_.reserve(header.entries.size());
  for (SafetensorsHeader::Entry& entry : header.entries) {
    positions_.emplace(entry.tensor.name, tensors_.size());
    tensors_.push_back({std::move(entry.tensor),
                        data.substr(static_cast<size_t>(entry.begin_bytes),
                                    static_cast<size_t>(entry.end_bytes -
                                                        entry.begin_bytes))});
  }
}

const SafetensorsTensor* SafetensorsFile::Find(absl::string_view tensor) const {
  const auto found = positions_.find(tensor);
  return found == positions_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace switchyard
