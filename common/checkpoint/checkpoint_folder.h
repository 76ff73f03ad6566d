#ifndef SWITCHYARD_COMMON_CHECKPOINT_CHECKPOINT_FOLDER_H_
#define SWITCHYARD_COMMON_CHECKPOINT_CHECKPOINT_FOLDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/checkpoint/model_description.h"
#include "common/model/layer_spec.h"
#include "common/model/parameters.h"
#include "common/safetensors/safetensors_folder.h"

namespace switchyard {

// A Hugging Face model on disk: config.json and safetensors files, which are
// mapped and not read until a parameter is. Immutable; thread-safe.
class CheckpointFolder {
 public:
  // NOT_FOUND if there is no such folder or model; INVALID_ARGUMENT, naming
  // file and field or tensor, for what cannot be read or computed.
  static absl::StatusOr<CheckpointFolder> Open(absl::string_view directory);

  const std::string& directory() const { return tensors_.directory(); }
  // See ModelDescription.
  const std::string& family() const { return description_.family; }

  // Of config.json, and of every file's name, size, header and the first and
  // last 4 KiB of its weights: two machines that get the same number see the
  // same folder, as far as that can be told without reading it all. FNV-1a, 64
  // bits; never 0.
  uint64_t Fingerprint() const { return fingerprint_; }

  // The MoE layers. `name` and `origin.module` are the path of the MoE block in
  // the tensors' names ("model.layers.3.mlp"); dtypes are those of the tensors.
  // INVALID_ARGUMENT, naming file and tensor: one is missing, of another shape,
  // of a type that is not computed with, or of another than its like.
  absl::StatusOr<std::vector<LayerSpec>> Layers() const;

  // Elements [first, first + values.size()) of a flattened parameter of a layer
  // with an origin, exact. Checks the tensor as Layers does.
  absl::Status ReadParameter(const LayerSpec& spec,
                             const ParameterSpec& parameter, int64_t first,
                             absl::Span<float> values) const;

 private:
  CheckpointFolder(SafetensorsFolder tensors, ModelDescription description,
                   uint64_t fingerprint);

  SafetensorsFolder tensors_;
  ModelDescription description_;
  uint64_t fingerprint_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CHECKPOINT_CHECKPOINT_FOLDER_H_
