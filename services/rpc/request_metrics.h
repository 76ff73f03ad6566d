#ifndef SWITCHYARD_SERVICES_RPC_REQUEST_METRICS_H_
#define SWITCHYARD_SERVICES_RPC_REQUEST_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace switchyard {

// One method's series. Thread-safe.
class MethodMetrics {
 public:
  MethodMetrics(const std::string& method,
                prometheus::Family<prometheus::Histogram>& latency,
                prometheus::Family<prometheus::Counter>& requests,
                prometheus::Family<prometheus::Gauge>& pending);

  // A call has arrived; Record, when it is answered, ends it.
  void Begin() { pending_.Increment(); }
  void Record(const absl::Status& status, int64_t latency_us);

 private:
  // OK to UNAUTHENTICATED.
  static constexpr size_t kNumCodes = 17;

  const std::string method_;
  prometheus::Histogram& latency_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Gauge& pending_;
  // Null until the code was first seen: most codes of most methods never are.
  std::array<std::atomic<prometheus::Counter*>, kNumCodes> by_code_{};
};

// switchyard_request_seconds{method}, switchyard_requests_pending{method} and
// switchyard_requests_total{method, code}. Thread-safe.
class RequestMetrics {
 public:
  // `registry` must outlive this.
  explicit RequestMetrics(prometheus::Registry& registry);

  // The method's series, made at the first call; valid as long as this.
  // `method` must come from a fixed set.
  MethodMetrics& ForMethod(absl::string_view method)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  prometheus::Family<prometheus::Histogram>& latency_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Gauge>& pending_;
  Mutex mutex_;
  absl::node_hash_map<std::string, MethodMetrics> methods_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_RPC_REQUEST_METRICS_H_
