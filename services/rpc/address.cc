#include "services/rpc/address.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace switchyard {
namespace {

constexpr absl::string_view kUnixPrefix = "unix:";
// sizeof(sockaddr_un::sun_path), less the terminator.
constexpr size_t kMaxUnixPathBytes = 107;

absl::Status Refuse(absl::string_view field, absl::string_view address,
                    absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": got '", absl::CHexEscape(address.substr(0, 256)),
                   "', expected ", expected));
}

// No separators of URIs or lists: gRPC and the metrics page would read more
// into the host than a host.
bool IsHost(absl::string_view host) {
  if (absl::StartsWith(host, "[")) {
    if (host.size() < 4 || !absl::EndsWith(host, "]")) return false;
    return host.find_first_not_of("0123456789abcdefABCDEF:.", 1) ==
           host.size() - 1;
  }
  return !host.empty() && host.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "0123456789.-_") == absl::string_view::npos;
}

absl::StatusOr<Address> ParseUnix(absl::string_view path,
                                  absl::string_view address,
                                  absl::string_view field) {
  if (path.empty() || path.size() > kMaxUnixPathBytes ||
      path.find('\0') != absl::string_view::npos) {
    return Refuse(
        field, address,
        absl::StrCat("unix: and a path of 1 to ", kMaxUnixPathBytes, " bytes"));
  }
  Address parsed;
  parsed.unix_path = std::string(path);
  return parsed;
}

}  // namespace

std::string Address::ToString() const {
  return unix_path.empty() ? absl::StrCat(host, ":", port)
                           : absl::StrCat(kUnixPrefix, unix_path);
}

absl::StatusOr<Address> ParseAddress(absl::string_view address,
                                     absl::string_view field) {
  absl::string_view rest = address;
  if (absl::ConsumePrefix(&rest, kUnixPrefix)) {
    return ParseUnix(rest, address, field);
  }
  const size_t colon = address.rfind(':');
  const absl::string_view port =
      colon == absl::string_view::npos ? "" : address.substr(colon + 1);
  Address parsed;
  if (!IsHost(address.substr(0, colon)) || port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(port, &parsed.port) || parsed.port > 65535) {
    return Refuse(field, address, "host:port or unix:/path");
  }
  parsed.host = std::string(address.substr(0, colon));
  return parsed;
}

absl::Status CheckDialAddress(absl::string_view address,
                              absl::string_view field) {
  const absl::StatusOr<Address> parsed = ParseAddress(address, field);
  if (!parsed.ok()) return parsed.status();
  if (parsed->unix_path.empty() && parsed->port == 0) {
    return Refuse(field, address, "a port other than 0");
  }
  return absl::OkStatus();
}

}  // namespace switchyard
