// Bringing a Hugging Face folder's MoE layers into a cluster.
#ifndef SWITCHYARD_CLI_LAYER_IMPORT_H_
#define SWITCHYARD_CLI_LAYER_IMPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/gateway_client.h"

namespace switchyard {

struct LayerImportOptions {
  std::string directory;
  // Which layers, by their path in the model: `*` any characters, `?` one.
  std::string layers = "*";
  // Stands before the path in the layer's name.
  std::string name_prefix;
  // Layers that train; otherwise they are inference_only.
  bool trainable = false;
  // Workers round the experts' matrices to int8. Not with trainable.
  bool int8_weights = false;
  int32_t ep_size = 0;
  bool exact_combine = false;
};

struct ImportedLayer {
  std::string name;
  int32_t num_experts = 0;
  int64_t num_bytes = 0;
  // Experts that workers read by themselves; the others were streamed.
  int32_t num_read_by_workers = 0;
};

struct LayerImportReport {
  std::string family;
  std::vector<ImportedLayer> layers;
  // Why workers did not read by themselves, each reason once.
  std::vector<std::string> refusals;
};

// Creates the layers and loads their parameters: workers read what they can
// see, the rest goes through the client piece by piece. On error the layers
// that this call created are deleted again. Errors name file and tensor, or
// layer.
absl::StatusOr<LayerImportReport> ImportLayers(
    const LayerImportOptions& options, GatewayClient& client);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_LAYER_IMPORT_H_
