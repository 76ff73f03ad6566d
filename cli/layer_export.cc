#include "cli/layer_export.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/progress_bar.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/glob.h"
#include "common/checkpoint/tensor_layout.h"
#include "common/safetensors/atomic_file.h"
#include "common/safetensors/safetensors_writer.h"

namespace switchyard {
namespace {

struct LayerTensor {
  std::string layer;
  // The layer's, when the export began.
  uint64_t step = 0;
  TensorPlan plan;

  int64_t num_bytes() const {
    int64_t num_elements = 1;
    for (const int64_t extent : plan.shape) num_elements *= extent;
    return num_elements * SizeOf(plan.dtype);
  }
};

struct File {
  std::string name;
  std::vector<const LayerTensor*> tensors;
};

absl::StatusOr<std::vector<LayerTensor>> TensorsToExport(
    const std::string& pattern, GatewayClient& client, int64_t& num_layers) {
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<LayerStatus> layers,
                              client.ListLayers());
  std::vector<LayerTensor> tensors;
  for (const LayerStatus& layer : layers) {
    if (!layer.spec.origin.has_value() ||
        !MatchesGlob(pattern, layer.spec.name)) {
      continue;
    }
    ++num_layers;
    SWITCHYARD_ASSIGN_OR_RETURN(std::vector<TensorPlan> plans,
                                TensorsOf(layer.spec));
    for (TensorPlan& plan : plans) {
      tensors.push_back({layer.spec.name, layer.step, std::move(plan)});
    }
  }
  if (!tensors.empty()) return tensors;
  return absl::InvalidArgumentError(
      absl::StrCat("--layers: got '", pattern,
                   "', expected a pattern of layers that were imported"));
}

// In order, none beyond `max_file_bytes` unless by a single tensor.
std::vector<File> SplitIntoFiles(const std::vector<LayerTensor>& tensors,
                                 int64_t max_file_bytes) {
  std::vector<File> files(1);
  int64_t file_bytes = 0;
  for (const LayerTensor& tensor : tensors) {
    if (file_bytes > 0 && file_bytes + tensor.num_bytes() > max_file_bytes) {
      files.emplace_back();
      file_bytes = 0;
    }
    files.back().tensors.push_back(&tensor);
    file_bytes += tensor.num_bytes();
  }
  for (size_t i = 0; i < files.size(); ++i) {
    files[i].name = files.size() == 1
                        ? "model.safetensors"
                        : absl::StrFormat("model-%05d-of-%05d.safetensors",
                                          i + 1, files.size());
  }
  return files;
}

// Reads one parameter page by page into its place in the tensor.
absl::Status ReadInto(const LayerTensor& tensor, const TensorPart& part,
                      GatewayClient& client, std::string& bytes) {
  ReadParametersRequest request = {.layer = tensor.layer,
                                   .names = {part.parameter.name}};
  do {
    SWITCHYARD_ASSIGN_OR_RETURN(const ReadParametersResult page,
                                client.ReadParameters(request));
    if (page.step != tensor.step) {
      return absl::AbortedError(absl::StrCat(
          "layer ", tensor.layer, " went from step ", tensor.step, " to ",
          page.step, " while it was exported; stop training and repeat"));
    }
    for (const ParameterSlice& slice : page.slices) {
      if (slice.name != part.parameter.name ||
          slice.shape != part.parameter.shape) {
        return absl::InternalError(absl::StrCat(
            "the gateway answered with ", slice.name, " ",
            ShapeToString(slice.shape), ", expected ", part.parameter.name, " ",
            ShapeToString(part.parameter.shape)));
      }
      WriteSlice(part.slice, tensor.plan.dtype, slice.offset, slice.values,
                 bytes.data());
    }
    request.cursor = page.next_cursor;
  } while (!request.cursor.empty());
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, const File& file,
                       GatewayClient& client, ProgressBar& progress) {
  std::vector<TensorDeclaration> declarations;
  for (const LayerTensor* tensor : file.tensors) {
    declarations.push_back({.name = tensor->plan.name,
                            .type = StoredTypeOf(tensor->plan.dtype),
                            .shape = tensor->plan.shape});
  }
  SWITCHYARD_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(path, declarations, {{"format", "pt"}}));
  for (const LayerTensor* tensor : file.tensors) {
    std::string bytes(static_cast<size_t>(tensor->num_bytes()), '\0');
    for (const TensorPart& part : tensor->plan.parts) {
      SWITCHYARD_RETURN_IF_ERROR(ReadInto(*tensor, part, client, bytes));
    }
    SWITCHYARD_RETURN_IF_ERROR(writer.Append(bytes));
    progress.Add(tensor->num_bytes());
  }
  return writer.Finish();
}

absl::Status WriteIndex(const std::string& path, const std::vector<File>& files,
                        int64_t total_bytes) {
  nlohmann::ordered_json weight_map = nlohmann::ordered_json::object();
  for (const File& file : files) {
    for (const LayerTensor* tensor : file.tensors) {
      weight_map[tensor->plan.name] = file.name;
    }
  }
  const nlohmann::ordered_json index = {
      {"metadata", {{"total_size", total_bytes}}},
      {"weight_map", std::move(weight_map)}};
  SWITCHYARD_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  SWITCHYARD_RETURN_IF_ERROR(file.Append(index.dump(2) + "\n"));
  return file.Commit();
}

absl::Status PrepareFolder(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": ", error.message()));
  }
  for (const char* name :
       {"model.safetensors", "model.safetensors.index.json"}) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (std::filesystem::exists(path, error)) {
      return absl::AlreadyExistsError(
          absl::StrCat(path, " is there, expected a folder without a model"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LayerExportReport> ExportLayers(
    const LayerExportOptions& options, GatewayClient& client) {
  LayerExportReport report;
  SWITCHYARD_ASSIGN_OR_RETURN(
      const std::vector<LayerTensor> tensors,
      TensorsToExport(options.layers, client, report.num_layers));
  SWITCHYARD_RETURN_IF_ERROR(PrepareFolder(options.directory));
  report.num_tensors = static_cast<int64_t>(tensors.size());
  for (const LayerTensor& tensor : tensors) {
    report.num_bytes += tensor.num_bytes();
  }
  const std::vector<File> files =
      SplitIntoFiles(tensors, options.max_file_bytes);
  ProgressBar progress("exporting", report.num_bytes);
  for (const File& file : files) {
    const std::string path = absl::StrCat(options.directory, "/", file.name);
    SWITCHYARD_RETURN_IF_ERROR(WriteFile(path, file, client, progress));
    report.files.push_back(path);
  }
  if (files.size() > 1) {
    const std::string path =
        absl::StrCat(options.directory, "/model.safetensors.index.json");
    SWITCHYARD_RETURN_IF_ERROR(WriteIndex(path, files, report.num_bytes));
    report.files.push_back(path);
  }
  return report;
}

}  // namespace switchyard
