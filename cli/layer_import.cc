#include "cli/layer_import.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/progress_bar.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/glob.h"
#include "common/model/parameters.h"

namespace switchyard {
namespace {

// What one ImportParameters call asks workers to read, so that none nears its
// deadline.
constexpr int64_t kMaxBytesPerImportCall = int64_t{512} << 20;
// What one WriteParameters call carries, in float32.
constexpr int64_t kMaxBytesPerWrite = int64_t{8} << 20;

int64_t StoredBytes(const std::vector<ParameterSpec>& parameters) {
  int64_t num_bytes = 0;
  for (const ParameterSpec& parameter : parameters) {
    num_bytes += parameter.num_elements() * SizeOf(parameter.dtype);
  }
  return num_bytes;
}

// A folder's layers as they are to be in the cluster.
absl::StatusOr<std::vector<LayerSpec>> ChooseLayers(
    const CheckpointFolder& folder, const LayerImportOptions& options) {
  SWITCHYARD_ASSIGN_OR_RETURN(std::vector<LayerSpec> all, folder.Layers());
  std::vector<LayerSpec> chosen;
  std::vector<std::string> names;
  for (LayerSpec& spec : all) {
    names.push_back(spec.name);
    if (!MatchesGlob(options.layers, spec.name)) continue;
    spec.name = absl::StrCat(options.name_prefix, spec.name);
    spec.inference_only = !options.trainable;
    spec.int8_weights = options.int8_weights;
    spec.ep_size = options.ep_size;
    spec.exact_combine = options.exact_combine;
    SWITCHYARD_RETURN_IF_ERROR(Validate(spec));
    chosen.push_back(std::move(spec));
  }
  if (!chosen.empty()) return chosen;
  constexpr size_t kMaxListed = 8;
  const bool all_listed = names.size() <= kMaxListed;
  names.resize(std::min(names.size(), kMaxListed));
  return absl::InvalidArgumentError(absl::StrCat(
      "--layers: got '", options.layers, "', expected a pattern of ",
      absl::StrJoin(names, ", "), all_listed ? "" : ", ..."));
}

// Loads one layer that has been created.
class LayerLoader {
 public:
  LayerLoader(const CheckpointFolder& folder, const LayerSpec& spec,
              GatewayClient& client, ProgressBar& progress,
              std::set<std::string>& refusals)
      : folder_(folder),
        spec_(spec),
        client_(client),
        progress_(progress),
        refusals_(refusals) {}

  absl::StatusOr<ImportedLayer> Load() {
    SWITCHYARD_RETURN_IF_ERROR(Stream(GateParameters(spec_)));
    std::vector<int32_t> experts;
    for (int32_t e = 0; e < spec_.num_hosted_experts(); ++e) {
      experts.push_back(e);
      if (ExpertBytes(e) * static_cast<int64_t>(experts.size()) <
              kMaxBytesPerImportCall &&
          e + 1 < spec_.num_hosted_experts()) {
        continue;
      }
      SWITCHYARD_RETURN_IF_ERROR(LoadExperts(experts));
      experts.clear();
    }
    SWITCHYARD_RETURN_IF_ERROR(
        client_.ImportParameters({.layer = spec_.name, .finish = true})
            .status());
    return ImportedLayer{.name = spec_.name,
                         .num_experts = spec_.num_experts,
                         .num_bytes = StoredBytes(AllParameters(spec_)),
                         .num_read_by_workers = num_read_by_workers_};
  }

 private:
  int64_t ExpertBytes(int32_t expert) const {
    return StoredBytes(ExpertParameters(spec_, expert));
  }

  absl::Status LoadExperts(const std::vector<int32_t>& experts) {
    SWITCHYARD_ASSIGN_OR_RETURN(const std::set<int32_t> imported,
                                AskWorkers(experts));
    for (const int32_t expert : experts) {
      if (imported.contains(expert)) {
        ++num_read_by_workers_;
        progress_.Add(ExpertBytes(expert));
      } else {
        SWITCHYARD_RETURN_IF_ERROR(Stream(ExpertParameters(spec_, expert)));
      }
    }
    return absl::OkStatus();
  }

  // Which experts the workers have read.
  absl::StatusOr<std::set<int32_t>> AskWorkers(
      const std::vector<int32_t>& experts) {
    SWITCHYARD_ASSIGN_OR_RETURN(
        const ImportParametersResult result,
        client_.ImportParameters({.layer = spec_.name,
                                  .directory = folder_.directory(),
                                  .fingerprint = folder_.Fingerprint(),
                                  .expert_ids = experts}));
    refusals_.insert(result.refusals.begin(), result.refusals.end());
    return std::set<int32_t>(result.imported_expert_ids.begin(),
                             result.imported_expert_ids.end());
  }

  absl::Status Stream(const std::vector<ParameterSpec>& parameters) {
    for (const ParameterSpec& parameter : parameters) {
      const int64_t num_elements = parameter.num_elements();
      for (int64_t offset = 0; offset < num_elements;) {
        // Whole rows, as int8_weights wants them.
        const int64_t row = parameter.row_elements();
        const int64_t room = (kMaxBytesPerWrite - pending_bytes_) /
                             static_cast<int64_t>(sizeof(float)) / row * row;
        if (room == 0 && pending_bytes_ > 0) {
          SWITCHYARD_RETURN_IF_ERROR(Flush());
          continue;
        }
        const int64_t num_read =
            std::min(std::max(room, row), num_elements - offset);
        SWITCHYARD_RETURN_IF_ERROR(Read(parameter, offset, num_read));
        offset += num_read;
      }
    }
    return Flush();
  }

  absl::Status Read(const ParameterSpec& parameter, int64_t offset,
                    int64_t num_elements) {
    ParameterSlice slice = {
        .name = parameter.name,
        .shape = parameter.shape,
        .offset = offset,
        .values = std::vector<float>(static_cast<size_t>(num_elements))};
    SWITCHYARD_RETURN_IF_ERROR(folder_.ReadParameter(
        spec_, parameter, offset, absl::MakeSpan(slice.values)));
    pending_bytes_ += num_elements * static_cast<int64_t>(sizeof(float));
    pending_stored_bytes_ += num_elements * SizeOf(parameter.dtype);
    pending_.slices.push_back(std::move(slice));
    return absl::OkStatus();
  }

  absl::Status Flush() {
    if (pending_.slices.empty()) return absl::OkStatus();
    pending_.layer = spec_.name;
    SWITCHYARD_RETURN_IF_ERROR(client_.WriteParameters(pending_));
    progress_.Add(pending_stored_bytes_);
    pending_.slices.clear();
    pending_bytes_ = 0;
    pending_stored_bytes_ = 0;
    return absl::OkStatus();
  }

  const CheckpointFolder& folder_;
  const LayerSpec& spec_;
  GatewayClient& client_;
  ProgressBar& progress_;
  std::set<std::string>& refusals_;
  int32_t num_read_by_workers_ = 0;
  // Read and not yet sent.
  WriteParametersRequest pending_;
  int64_t pending_bytes_ = 0;
  int64_t pending_stored_bytes_ = 0;
};

// Deletes what was created unless all went well.
class CreatedLayers {
 public:
  explicit CreatedLayers(GatewayClient& client) : client_(client) {}
  ~CreatedLayers() {
    for (const std::string& name : names_) {
      client_.DeleteLayer(name).IgnoreError();
    }
  }
  CreatedLayers(const CreatedLayers&) = delete;
  CreatedLayers& operator=(const CreatedLayers&) = delete;

  void Add(const std::string& name) { names_.push_back(name); }
  void Keep() { names_.clear(); }

 private:
  GatewayClient& client_;
  std::vector<std::string> names_;
};

}  // namespace

absl::StatusOr<LayerImportReport> ImportLayers(
    const LayerImportOptions& options, GatewayClient& client) {
  std::error_code error;
  const std::filesystem::path directory =
      std::filesystem::canonical(options.directory, error);
  if (error) {
    return absl::NotFoundError(
        absl::StrCat(options.directory, ": ", error.message()));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const CheckpointFolder folder,
                              CheckpointFolder::Open(directory.string()));
  SWITCHYARD_ASSIGN_OR_RETURN(const std::vector<LayerSpec> specs,
                              ChooseLayers(folder, options));
  int64_t total_bytes = 0;
  for (const LayerSpec& spec : specs) {
    total_bytes += StoredBytes(AllParameters(spec));
  }
  LayerImportReport report;
  report.family = folder.family();
  std::set<std::string> refusals;
  CreatedLayers created(client);
  ProgressBar progress("importing", total_bytes);
  for (const LayerSpec& spec : specs) {
    SWITCHYARD_RETURN_IF_ERROR(
        client.CreateLayer(spec, /*awaits_import=*/true).status());
    created.Add(spec.name);
    SWITCHYARD_ASSIGN_OR_RETURN(
        ImportedLayer layer,
        LayerLoader(folder, spec, client, progress, refusals).Load());
    report.layers.push_back(std::move(layer));
  }
  created.Keep();
  report.refusals.assign(refusals.begin(), refusals.end());
  return report;
}

}  // namespace switchyard
