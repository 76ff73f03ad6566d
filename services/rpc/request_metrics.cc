#include "services/rpc/request_metrics.h"

#include "common/metrics/metrics.h"

namespace switchyard {

MethodMetrics::MethodMetrics(const std::string& method,
                             prometheus::Family<prometheus::Histogram>& latency,
                             prometheus::Family<prometheus::Counter>& requests,
                             prometheus::Family<prometheus::Gauge>& pending)
    : method_(method),
      latency_(latency.Add({{"method", method}}, LatencyBucketsSeconds())),
      requests_(requests),
      pending_(pending.Add({{"method", method}})) {}

void MethodMetrics::Record(const absl::Status& status, int64_t latency_us) {
  pending_.Decrement();
  ObserveUs(latency_, latency_us);
  // status.code() is one of the known ones, whatever number was put in.
  auto& slot = by_code_[static_cast<size_t>(status.code())];
  prometheus::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads may both come here: Add gives both the same counter.
    counter =
        &requests_.Add({{"method", method_},
                        {"code", absl::StatusCodeToString(status.code())}});
    slot.store(counter, std::memory_order_release);
  }
  counter->Increment();
}

RequestMetrics::RequestMetrics(prometheus::Registry& registry)
    : latency_(prometheus::BuildHistogram()
                   .Name("switchyard_request_seconds")
                   .Help("Time from a call's arrival to its answer")
                   .Register(registry)),
      requests_(prometheus::BuildCounter()
                    .Name("switchyard_requests_total")
                    .Help("Calls answered, by status code")
                    .Register(registry)),
      pending_(prometheus::BuildGauge()
                   .Name("switchyard_requests_pending")
                   .Help("Calls that wait or run")
                   .Register(registry)) {}

MethodMetrics& RequestMetrics::ForMethod(absl::string_view method) {
  MutexLock lock(mutex_);
  const std::string name(method);
  return methods_.try_emplace(name, name, latency_, requests_, pending_)
      .first->second;
}

}  // namespace switchyard
