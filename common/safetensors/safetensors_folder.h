#ifndef SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_FOLDER_H_
#define SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_FOLDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/safetensors/safetensors_file.h"

namespace switchyard {

// The tensors of a folder as Hugging Face lays it out: `model.safetensors`, or
// several files and `model.safetensors.index.json`, whose `weight_map` says
// which file has which tensor. Where a folder has both, the single file counts,
// as it does for transformers. Immutable.
class SafetensorsFolder {
 public:
  // Opens every file and finds every tensor that the index names. NOT_FOUND if
  // the folder has neither; otherwise INVALID_ARGUMENT, naming the file and the
  // tensor, for a damaged file or an index that is none, names a file that is
  // missing or lies elsewhere, or a tensor that its file does not have.
  static absl::StatusOr<SafetensorsFolder> Open(absl::string_view directory);

  const std::string& directory() const { return directory_; }
  // By name.
  absl::Span<const std::unique_ptr<const SafetensorsFile>> files() const {
    return files_;
  }
  // By file, then by position in it; not those that the index leaves out.
  std::vector<const SafetensorsTensor*> tensors() const;

  struct Location {
    const SafetensorsFile* file = nullptr;
    const SafetensorsTensor* tensor = nullptr;
  };

  // Where a tensor lies; both nullptr if the folder has none of that name.
  Location Find(absl::string_view tensor) const;

  // NOT_FOUND, naming the folder and the tensor, if it has none of that name.
  absl::StatusOr<Location> Get(absl::string_view tensor) const;

 private:
  explicit SafetensorsFolder(absl::string_view directory)
      : directory_(directory) {}

  absl::Status OpenSingle(const std::string& path);
  absl::Status OpenIndexed(const std::string& index_path);

  std::string directory_;
  std::vector<std::unique_ptr<const SafetensorsFile>> files_;
  absl::flat_hash_map<std::string, Location> locations_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_SAFETENSORS_SAFETENSORS_FOLDER_H_
