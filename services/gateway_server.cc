#include "services/gateway_server.h"

#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/concurrency/periodic_task.h"
#include "services/gateway_service.h"
#include "services/registry_service.h"
#include "services/rpc/drain.h"
#include "services/rpc/metrics_page.h"
#include "services/rpc/outbound_calls.h"
#include "services/rpc/request_metrics.h"
#include "services/rpc/rpc_server.h"
#include "services/rpc/unary_handler.h"
#include "services/shared_memory/attach_handler.h"
#include "services/shared_memory/attached_regions.h"

namespace switchyard {
namespace {

// A lease that has run out is noticed this late at most.
absl::Duration ExpiryInterval(absl::Duration lease_duration) {
  return std::clamp(lease_duration / 4, absl::Milliseconds(10),
                    absl::Milliseconds(250));
}

// A group is formed, or found broken, this late at most.
constexpr absl::Duration kGroupingInterval = absl::Milliseconds(100);

// The registry has threads of its own: leases must be renewed however many
// forwards wait.
ServerLimits RegistryLimits(ServerLimits limits) {
  limits.num_request_threads = 2;
  limits.max_queued_requests = 1024;
  limits.max_call_duration = absl::Seconds(10);
  return limits;
}

WorkerMemory MakeWorkerMemory(int64_t region_bytes,
                              prometheus::Registry& metrics) {
  prometheus::Family<prometheus::Counter>& calls =
      prometheus::BuildCounter()
          .Name("switchyard_worker_tensors_total")
          .Help(
              "Tensors of 16 KiB and more sent to workers on this host, by "
              "way: in shared memory, or in the message for want of room.")
          .Register(metrics);
  return {.region_bytes = region_bytes,
          .shared_calls = &calls.Add({{"way", "shared"}}),
          .inline_calls = &calls.Add({{"way", "inline"}})};
}

}  // namespace

// In order of construction: each member uses those above it, and on
// destruction goes before them.
class GatewayServer::Impl {
 public:
  explicit Impl(GatewayServerOptions options)
      : options_(std::move(options)),
        gateway_(options_.gateway, Clock::Real(), *metrics_),
        request_handler_("gateway requests", options_.limits, Clock::Real(),
                         request_metrics_),
        registry_handler_("gateway registry", RegistryLimits(options_.limits),
                          Clock::Real(), request_metrics_),
        regions_(options_.limits, metrics_),
        gateway_service_(gateway_, request_handler_, options_.limits, regions_,
                         attach_),
        registry_service_(
            gateway_, registry_handler_, options_.limits.max_message_bytes,
            calls_,
            MakeWorkerMemory(options_.worker_shared_memory_bytes, *metrics_)) {}

  ~Impl() { Shutdown(absl::ZeroDuration()); }

  absl::Status Start() {
    if (!options_.metrics_address.empty()) {
      SWITCHYARD_ASSIGN_OR_RETURN(
          page_, MetricsPage::Start(options_.metrics_address, metrics_));
      metrics_address_ = page_->address();
    }
    SWITCHYARD_ASSIGN_OR_RETURN(
        server_,
        RpcServer::Start(
            options_.listen_address, options_.limits,
            {{v1::Gateway::service_full_name(), &gateway_service_},
             {v1::Registry::service_full_name(), &registry_service_}}));
    expiry_ = std::make_unique<PeriodicTask>(
        ExpiryInterval(options_.gateway.lease_duration),
        [this] { gateway_.ExpireLeases(); });
    grouping_ = std::make_unique<PeriodicTask>(
        kGroupingInterval, [this] { gateway_.FormGroups(); });
    return absl::OkStatus();
  }

  void Shutdown(absl::Duration grace) ABSL_LOCKS_EXCLUDED(shutdown_mutex_) {
    MutexLock lock(shutdown_mutex_);
    if (server_ == nullptr || is_shut_down_) return;
    is_shut_down_ = true;
    Drain(*server_, {&request_handler_, &registry_handler_}, *calls_, grace,
          Clock::Real(), [this] { attach_.EndAll(); });
    expiry_.reset();
    grouping_.reset();
  }

  const std::string& address() const { return server_->address(); }
  const std::string& metrics_address() const { return metrics_address_; }

 private:
  const GatewayServerOptions options_;
  const std::shared_ptr<prometheus::Registry> metrics_ =
      std::make_shared<prometheus::Registry>();
  RequestMetrics request_metrics_{*metrics_};
  const std::shared_ptr<OutboundCalls> calls_ =
      std::make_shared<OutboundCalls>();
  Gateway gateway_;
  UnaryHandler request_handler_;
  UnaryHandler registry_handler_;
  AttachedRegions regions_;
  AttachHandler attach_{regions_};
  GatewayServiceImpl gateway_service_;
  RegistryServiceImpl registry_service_;
  std::unique_ptr<MetricsPage> page_;
  std::string metrics_address_;
  std::unique_ptr<RpcServer> server_;

  // Held through the shutdown, so that a second caller returns after it too.
  Mutex shutdown_mutex_;
  bool is_shut_down_ ABSL_GUARDED_BY(shutdown_mutex_) = false;
  std::unique_ptr<PeriodicTask> expiry_;
  // Has a thread of its own: workers may keep it waiting.
  std::unique_ptr<PeriodicTask> grouping_;
};

GatewayServer::GatewayServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

GatewayServer::~GatewayServer() = default;

absl::StatusOr<std::unique_ptr<GatewayServer>> GatewayServer::Start(
    GatewayServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  SWITCHYARD_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<GatewayServer>(new GatewayServer(std::move(impl)));
}

const std::string& GatewayServer::address() const { return impl_->address(); }

const std::string& GatewayServer::metrics_address() const {
  return impl_->metrics_address();
}

void GatewayServer::Shutdown(absl::Duration grace) { impl_->Shutdown(grace); }

}  // namespace switchyard
