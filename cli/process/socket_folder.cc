#include "cli/process/socket_folder.h"

#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace switchyard {
namespace {

constexpr size_t kMaxNameBytes = 16;

std::string Parent() {
  for (const char* const variable : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    const char* const path = std::getenv(variable);
    if (path != nullptr && access(path, W_OK | X_OK) == 0) return path;
  }
  return "/tmp";
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketFolder>> SocketFolder::Create() {
  std::string path = absl::StrCat(Parent(), "/switchyard-XXXXXX");
  constexpr size_t kSuffixBytes = kMaxNameBytes + sizeof("/.sock");
  if (path.size() + kSuffixBytes > sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "socket folder: got ", path, ", expected a path of at most ",
        sizeof(sockaddr_un::sun_path) - kSuffixBytes, " bytes"));
  }
  if (mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot make ", path, ": ", std::strerror(errno)));
  }
  return std::unique_ptr<SocketFolder>(new SocketFolder(std::move(path)));
}

SocketFolder::~SocketFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string SocketFolder::AddressOf(absl::string_view name) const {
  return absl::StrCat("unix:", path_, "/", name, ".sock");
}

}  // namespace switchyard
