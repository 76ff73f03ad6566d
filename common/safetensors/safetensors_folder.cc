#include "common/safetensors/safetensors_folder.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/safetensors/json_file.h"

namespace switchyard {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

// From a file's name to those of the tensors it has.
using WeightMap = std::map<std::string, std::vector<std::string>>;

absl::StatusOr<WeightMap> ParseWeightMap(const nlohmann::json& index,
                                         const std::string& path) {
  const auto weight_map = index.find("weight_map");
  if (weight_map == index.end() || !weight_map->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": weight_map: expected an object from tensors to files"));
  }
  WeightMap files;
  for (const auto& [tensor, file] : weight_map->items()) {
    const auto* name = file.get_ptr<const std::string*>();
    if (name == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": weight_map.", Shortened(tensor), ": got ",
                       file.type_name(), ", expected the name of a file"));
    }
    // An index must not lead out of its folder.
    if (name->empty() || name->find('/') != std::string::npos ||
        name->find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": weight_map.", Shortened(tensor), ": got \"",
          Shortened(*name), "\", expected the name of a file in the folder"));
    }
    files[*name].push_back(tensor);
  }
  return files;
}

}  // namespace

absl::StatusOr<SafetensorsFolder> SafetensorsFolder::Open(
    absl::string_view directory) {
  SafetensorsFolder folder(absl::StripSuffix(directory, "/"));
  const std::string single = absl::StrCat(folder.directory_, "/", kSingleFile);
  const std::string index = absl::StrCat(folder.directory_, "/", kIndexFile);
  absl::Status opened = folder.OpenSingle(single);
  if (absl::IsNotFound(opened)) opened = folder.OpenIndexed(index);
  if (absl::IsNotFound(opened)) {
    return absl::NotFoundError(absl::StrCat(folder.directory_, ": has neither ",
                                            kSingleFile, " nor ", kIndexFile));
  }
  SWITCHYARD_RETURN_IF_ERROR(opened);
  return folder;
}

absl::Status SafetensorsFolder::OpenSingle(const std::string& path) {
  SWITCHYARD_ASSIGN_OR_RETURN(SafetensorsFile file,
                              SafetensorsFile::Open(path));
  files_.push_back(std::make_unique<const SafetensorsFile>(std::move(file)));
  for (const SafetensorsTensor& tensor : files_[0]->tensors()) {
    locations_[tensor.declaration.name] = {files_[0].get(), &tensor};
  }
  return absl::OkStatus();
}

absl::Status SafetensorsFolder::OpenIndexed(const std::string& index_path) {
  SWITCHYARD_ASSIGN_OR_RETURN(const nlohmann::json index,
                              ReadJsonObject(index_path));
  SWITCHYARD_ASSIGN_OR_RETURN(const WeightMap weight_map,
                              ParseWeightMap(index, index_path));
  for (const auto& [name, tensors] : weight_map) {
    absl::StatusOr<SafetensorsFile> opened =
        SafetensorsFile::Open(absl::StrCat(directory_, "/", name));
    if (absl::IsNotFound(opened.status())) {
      return absl::InvalidArgumentError(
          absl::StrCat(index_path, ": names the file ", Shortened(name),
                       ", which is not in the folder"));
    }
    SWITCHYARD_RETURN_IF_ERROR(opened.status());
    files_.push_back(
        std::make_unique<const SafetensorsFile>(*std::move(opened)));
    const SafetensorsFile* const file = files_.back().get();
    for (const std::string& tensor : tensors) {
      const SafetensorsTensor* const stored = file->Find(tensor);
      if (stored == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat(file->name(), ": has no tensor ", Shortened(tensor),
                         ", which ", kIndexFile, " says it has"));
      }
      locations_[tensor] = {file, stored};
    }
  }
  return absl::OkStatus();
}

std::vector<const SafetensorsTensor*> SafetensorsFolder::tensors() const {
  std::vector<const SafetensorsTensor*> tensors;
  for (const auto& file : files_) {
    for (const SafetensorsTensor& tensor : file->tensors()) {
      if (Find(tensor.declaration.name).tensor == &tensor) {
        tensors.push_back(&tensor);
      }
    }
  }
  return tensors;
}

SafetensorsFolder::Location SafetensorsFolder::Find(
    absl::string_view tensor) const {
  const auto found = locations_.find(tensor);
  return found == locations_.end() ? Location() : found->second;
}

absl::StatusOr<SafetensorsFolder::Location> SafetensorsFolder::Get(
    absl::string_view tensor) const {
  const Location location = Find(tensor);
  if (location.tensor != nullptr) return location;
  return absl::NotFoundError(
      absl::StrCat(directory_, ": has no tensor ", tensor));
}

}  // namespace switchyard
