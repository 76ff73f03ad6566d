#include "services/rpc/metrics_page.h"

#include <netdb.h>
#include <prometheus/exposer.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/concurrency/periodic_task.h"
#include "services/rpc/address.h"

namespace switchyard {
namespace {

// Opens a connection and closes it, without waiting for anything.
void Knock(const addrinfo& address) {
  const int fd =
      socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  // Whether it succeeds does not matter: another one follows.
  static_cast<void>(connect(fd, address.ai_addr, address.ai_addrlen));
  close(fd);
}

}  // namespace

MetricsPage::MetricsPage(std::unique_ptr<prometheus::Exposer> exposer,
                         Address address)
    : exposer_(std::move(exposer)), address_(std::move(address)) {}

MetricsPage::~MetricsPage() {
  // CivetWeb asks whether it is to stop each two seconds, and whenever somebody
  // connects. So somebody connects.
  const std::string host(
      absl::StripSuffix(absl::StripPrefix(address_.host, "["), "]"));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), absl::StrCat(address_.port).c_str(), &hints,
                  &found) != 0) {
    return;
  }
  {
    PeriodicTask knocking(absl::Milliseconds(5), [found] { Knock(*found); });
    exposer_.reset();
  }
  freeaddrinfo(found);
}

std::string MetricsPage::address() const { return address_.ToString(); }

absl::StatusOr<std::unique_ptr<MetricsPage>> MetricsPage::Start(
    const std::string& listen_address,
    std::shared_ptr<prometheus::Registry> registry) {
  SWITCHYARD_ASSIGN_OR_RETURN(Address address,
                              ParseAddress(listen_address, "metrics_address"));
  if (!address.unix_path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "metrics_address: got '", listen_address, "', expected host:port"));
  }
  std::unique_ptr<prometheus::Exposer> exposer;
  // CivetWeb's constructor is the one place here that throws.
  try {
    exposer = std::make_unique<prometheus::Exposer>(listen_address);
  } catch (const std::exception&) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen_address,
                     " for metrics: in use, or not an address of this host"));
  }
  exposer->RegisterCollectable(registry);
  address.port = exposer->GetListeningPorts().front();
  return std::unique_ptr<MetricsPage>(
      new MetricsPage(std::move(exposer), std::move(address)));
}

}  // namespace switchyard
