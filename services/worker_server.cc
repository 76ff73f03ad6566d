#include "services/worker_server.h"

#include <prometheus/registry.h>

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "expert_worker/collective/gloo_collective.h"
#include "expert_worker/group/group_member.h"
#include "services/expert_worker_service.h"
#include "services/lease_keeper.h"
#include "services/rpc/address.h"
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

// Calls without tensors have threads of their own: see ExpertWorkerServiceImpl.
ServerLimits ControlLimits(ServerLimits limits) {
  limits.num_request_threads = 2;
  return limits;
}

// A call that is refused here would leave other members waiting; gateways make
// no more than there are threads.
ServerLimits GroupLimits(ServerLimits limits) {
  limits.num_request_threads = GroupMember::kNumThreads;
  limits.max_pending_request_bytes =
      (GroupMember::kNumThreads + 1) * limits.max_message_bytes;
  return limits;
}

}  // namespace

// In order of construction: each member uses those above it, and on
// destruction goes before them.
class WorkerServer::Impl {
 public:
  explicit Impl(WorkerServerOptions options)
      : options_(std::move(options)),
        worker_(options_.worker, Clock::Real(), *metrics_),
        bulk_handler_("worker requests", options_.limits, Clock::Real(),
                      request_metrics_),
        control_handler_("worker control", ControlLimits(options_.limits),
                         Clock::Real(), request_metrics_),
        group_handler_("worker group", GroupLimits(options_.limits),
                       Clock::Real(), request_metrics_),
        regions_(options_.limits, metrics_),
        member_(MakeMember()),
        service_(worker_, member_.get(),
                 {bulk_handler_, group_handler_, control_handler_}, regions_,
                 attach_) {}

  ~Impl() { Shutdown(absl::ZeroDuration()); }

  absl::Status Start() {
    SWITCHYARD_RETURN_IF_ERROR(CheckDialled());
    SWITCHYARD_RETURN_IF_ERROR(CheckGroupHost());
    if (!options_.metrics_address.empty()) {
      SWITCHYARD_ASSIGN_OR_RETURN(
          page_, MetricsPage::Start(options_.metrics_address, metrics_));
      metrics_address_ = page_->address();
    }
    SWITCHYARD_ASSIGN_OR_RETURN(
        server_,
        RpcServer::Start(options_.listen_address, options_.limits,
                         {{v1::ExpertWorker::service_full_name(), &service_}}));
    if (!options_.gateway_address.empty()) StartLeaseKeeper();
    return absl::OkStatus();
  }

  void Shutdown(absl::Duration grace) ABSL_LOCKS_EXCLUDED(shutdown_mutex_) {
    MutexLock lock(shutdown_mutex_);
    if (server_ == nullptr || is_shut_down_) return;
    is_shut_down_ = true;
    server_->StopServing();
    if (lease_keeper_ != nullptr) lease_keeper_->Stop();
    Drain(*server_, {&bulk_handler_, &group_handler_, &control_handler_},
          no_calls_, grace, Clock::Real(), [this] {
            // Else calls of a group would wait for members that are gone.
            if (member_ != nullptr) member_->LeaveAll();
            attach_.EndAll();
          });
  }

  const std::string& address() const { return server_->address(); }
  const std::string& metrics_address() const { return metrics_address_; }
  bool registered() const {
    return lease_keeper_ != nullptr && lease_keeper_->registered();
  }

 private:
  // Null without a group.
  std::unique_ptr<GroupMember> MakeMember() {
    if (options_.group.empty()) return nullptr;
    return std::make_unique<GroupMember>(worker_, [this](int rank, int size) {
      return MakeGlooCollective(options_.group_listen_host, rank, size);
    });
  }

  // That this process can be reached there, before a gateway relies on it.
  absl::Status CheckGroupHost() const {
    if (options_.group.empty()) return absl::OkStatus();
    const absl::Status status =
        MakeGlooCollective(options_.group_listen_host, 0, 1).status();
    if (status.ok()) return status;
    return absl::Status(status.code(),
                        absl::StrCat("group_listen_host: ", status.message()));
  }

  absl::Status CheckDialled() const {
    if (!options_.gateway_address.empty()) {
      SWITCHYARD_RETURN_IF_ERROR(
          CheckDialAddress(options_.gateway_address, "gateway_address"));
    }
    if (options_.advertise_address.empty()) return absl::OkStatus();
    return CheckDialAddress(options_.advertise_address, "advertise_address");
  }

  void StartLeaseKeeper() {
    LeaseKeeperOptions options;
    options.gateway_address = options_.gateway_address;
    options.worker_id = worker_.worker_id();
    options.address = options_.advertise_address.empty()
                          ? server_->address()
                          : options_.advertise_address;
    options.metrics_address = metrics_address_;
    options.group = options_.group;
    lease_keeper_ = std::make_unique<LeaseKeeper>(std::move(options),
                                                  Clock::Real(), [this] {
                                                    if (member_ != nullptr)
                                                      member_->LeaveAll();
                                                    worker_.UnloadAll();
                                                  });
  }

  const WorkerServerOptions options_;
  const std::shared_ptr<prometheus::Registry> metrics_ =
      std::make_shared<prometheus::Registry>();
  RequestMetrics request_metrics_{*metrics_};
  // A worker calls nobody on behalf of a request.
  OutboundCalls no_calls_;
  Worker worker_;
  UnaryHandler bulk_handler_;
  UnaryHandler control_handler_;
  UnaryHandler group_handler_;
  AttachedRegions regions_;
  AttachHandler attach_{regions_};
  std::unique_ptr<GroupMember> member_;
  ExpertWorkerServiceImpl service_;
  std::unique_ptr<MetricsPage> page_;
  std::string metrics_address_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<LeaseKeeper> lease_keeper_;

  // Held through the shutdown, so that a second caller returns after it too.
  Mutex shutdown_mutex_;
  bool is_shut_down_ ABSL_GUARDED_BY(shutdown_mutex_) = false;
};

WorkerServer::WorkerServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

WorkerServer::~WorkerServer() = default;

absl::StatusOr<std::unique_ptr<WorkerServer>> WorkerServer::Start(
    WorkerServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  SWITCHYARD_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<WorkerServer>(new WorkerServer(std::move(impl)));
}

const std::string& WorkerServer::address() const { return impl_->address(); }

const std::string& WorkerServer::metrics_address() const {
  return impl_->metrics_address();
}

bool WorkerServer::registered() const { return impl_->registered(); }

void WorkerServer::Shutdown(absl::Duration grace) { impl_->Shutdown(grace); }

}  // namespace switchyard
