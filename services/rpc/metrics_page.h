#ifndef SWITCHYARD_SERVICES_RPC_METRICS_PAGE_H_
#define SWITCHYARD_SERVICES_RPC_METRICS_PAGE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/rpc/address.h"

namespace prometheus {
class Exposer;
class Registry;
}  // namespace prometheus

namespace switchyard {

// Serves a registry at http://ADDRESS/metrics in Prometheus's text format,
// until destroyed. Thread-safe.
class MetricsPage {
 public:
  // INVALID_ARGUMENT for an address other than host:port, UNAVAILABLE for one
  // that cannot be bound. Port 0: chosen by the system.
  static absl::StatusOr<std::unique_ptr<MetricsPage>> Start(
      const std::string& listen_address,
      std::shared_ptr<prometheus::Registry> registry);
  ~MetricsPage();
  MetricsPage(const MetricsPage&) = delete;
  MetricsPage& operator=(const MetricsPage&) = delete;

  // With the port that was chosen.
  std::string address() const;

 private:
  MetricsPage(std::unique_ptr<prometheus::Exposer> exposer, Address address);

  std::unique_ptr<prometheus::Exposer> exposer_;
  const Address address_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_METRICS_PAGE_H_
