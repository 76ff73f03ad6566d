#ifndef SWITCHYARD_CLI_PROCESS_SOCKET_FOLDER_H_
#define SWITCHYARD_CLI_PROCESS_SOCKET_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// A folder for unix sockets that nobody but this user may enter, in
// XDG_RUNTIME_DIR or, without one, in TMPDIR or /tmp. Destruction removes it
// with what is in it. Immutable.
class SocketFolder {
 public:
  // UNAVAILABLE, saying why the folder cannot be made; INVALID_ARGUMENT: its
  // path is too long for a socket's.
  static absl::StatusOr<std::unique_ptr<SocketFolder>> Create();
  ~SocketFolder();
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;

  // "unix:FOLDER/NAME.sock"; `name` has at most 16 characters.
  std::string AddressOf(absl::string_view name) const;

 private:
  explicit SocketFolder(std::string path) : path_(std::move(path)) {}

  const std::string path_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_PROCESS_SOCKET_FOLDER_H_
