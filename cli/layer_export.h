// Writing layers that were imported back in the form in which they came.
#ifndef SWITCHYARD_CLI_LAYER_EXPORT_H_
#define SWITCHYARD_CLI_LAYER_EXPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/gateway_client.h"

namespace switchyard {

struct LayerExportOptions {
  // Made where it is not there.
  std::string directory;
  // Which layers, by name: `*` any characters, `?` one.
  std::string layers = "*";
  // Tensors beyond that go to further files.
  int64_t max_file_bytes = int64_t{5} << 30;
};

struct LayerExportReport {
  int64_t num_layers = 0;
  int64_t num_tensors = 0;
  int64_t num_bytes = 0;
  // Paths.
  std::vector<std::string> files;
};

// Writes the tensors of the layers that have an origin, under the names and in
// the dtypes in which they were imported: `model.safetensors`, or several files
// and their index. One tensor is in memory at a time. ALREADY_EXISTS where the
// folder holds a model; ABORTED where a layer was trained under way.
absl::StatusOr<LayerExportReport> ExportLayers(
    const LayerExportOptions& options, GatewayClient& client);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_LAYER_EXPORT_H_
