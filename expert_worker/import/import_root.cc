#include "expert_worker/import/import_root.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace switchyard {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<fs::path> Canonical(const std::string& path) {
  std::error_code error;
  fs::path canonical = fs::canonical(path, error);
  if (!error) return canonical;
  return absl::NotFoundError(
      absl::StrCat(path.substr(0, 256), ": ", error.message()));
}

bool LiesBelow(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end())
             .first == root.end();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CheckpointFolder>> ImportRoot::Open(
    const std::string& directory, uint64_t fingerprint) {
  if (root_.empty()) {
    return absl::PermissionDeniedError(
        "it may not read checkpoints by itself (--import-root is not set)");
  }
  if (!fs::path(directory).is_absolute()) {
    return absl::PermissionDeniedError(
        absl::StrCat("directory: got ", directory.substr(0, 256),
                     ", expected an absolute path"));
  }
  SWITCHYARD_ASSIGN_OR_RETURN(const fs::path root, Canonical(root_));
  SWITCHYARD_ASSIGN_OR_RETURN(const fs::path path, Canonical(directory));
  if (!LiesBelow(path, root)) {
    return absl::PermissionDeniedError(
        absl::StrCat("directory: got ", directory.substr(0, 256),
                     ", expected one below --import-root ", root_));
  }
  {
    MutexLock lock(mutex_);
    if (last_ != nullptr && last_->directory() == path.string() &&
        last_->Fingerprint() == fingerprint) {
      return last_;
    }
  }
  SWITCHYARD_ASSIGN_OR_RETURN(CheckpointFolder opened,
                              CheckpointFolder::Open(path.string()));
  if (opened.Fingerprint() != fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("fingerprint: got ", absl::Hex(fingerprint), ", expected ",
                     absl::Hex(opened.Fingerprint()), " of ", path.string(),
                     " as it is here"));
  }
  auto folder = std::make_shared<const CheckpointFolder>(std::move(opened));
  MutexLock lock(mutex_);
  last_ = folder;
  return folder;
}

}  // namespace switchyard
