#ifndef SWITCHYARD_SERVICES_RPC_ADDRESS_H_
#define SWITCHYARD_SERVICES_RPC_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace switchyard {

// host:port (the host a name, an IPv4 address or an IPv6 address in brackets)
// or unix:/path. Immutable.
struct Address {
  // Empty for a unix socket.
  std::string host;
  // 0 for a unix socket, or where the system is to choose.
  int port = 0;
  // Empty for TCP.
  std::string unix_path;

  std::string ToString() const;
};

// INVALID_ARGUMENT, naming `field`, for anything else than the two forms.
absl::StatusOr<Address> ParseAddress(absl::string_view address,
                                     absl::string_view field);

// As ParseAddress, for an address that is to be dialled: port 0 is refused.
absl::Status CheckDialAddress(absl::string_view address,
                              absl::string_view field);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_ADDRESS_H_
