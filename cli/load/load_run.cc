#include "cli/load/load_run.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"

namespace switchyard {
namespace {

using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;

// Arrivals of one run at most: their times are drawn beforehand.
constexpr double kMaxArrivals = 1e7;
constexpr int kMaxCallers = 16'384;

int64_t MicrosecondsSince(SteadyTime begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             SteadyClock::now() - begin)
      .count();
}

// A client with its callers' shared queue of due times.
class LoadClient {
 public:
  LoadClient(const LoadOptions& options, int idx)
      : options_(options),
        arrivals_(ArrivalTimes(options.rate_per_s / options.num_clients,
                               options.duration, options.seed, idx)),
        client_(options.gateway, options.client) {}

  // One of the callers; returns when nothing is due any more.
  void Call(SteadyTime start) {
    const SteadyTime end = start + absl::ToChronoNanoseconds(options_.duration);
    ForwardRequest request;
    request.layer = options_.layer;
    request.x = options_.x.Share();
    while (true) {
      const SteadyTime free = SteadyClock::now();
      SteadyTime due = free;
      if (free >= end || (options_.rate_per_s > 0 && !TakeDue(start, due))) {
        return;
      }
      std::this_thread::sleep_until(due);
      const bool is_late = free - due > std::chrono::milliseconds(1);
      const absl::Status status = client_.Forward(request).status();
      Record(status, MicrosecondsSince(due), is_late);
    }
  }

  // After all callers have returned.
  void AddTo(LoadResult& result) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    result.clients.push_back(load_);
    result.answered += load_.answered;
    const auto never_started =
        static_cast<int64_t>(arrivals_.size() - next_arrival_);
    result.due += load_.answered + load_.failed + never_started;
    result.never_started += never_started;
    result.started_late += started_late_;
    result.latency.Merge(latency_);
    for (const auto& [code, count] : failed_) result.failed[code] += count;
    result.messages.insert(messages_.begin(), messages_.end());
  }

 private:
  bool TakeDue(SteadyTime start, SteadyTime& due) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    if (next_arrival_ == arrivals_.size()) return false;
    due =
        start + std::chrono::duration_cast<SteadyClock::duration>(
                    std::chrono::duration<double>(arrivals_[next_arrival_++]));
    return true;
  }

  void Record(const absl::Status& status, int64_t latency_us, bool is_late)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    started_late_ += is_late ? 1 : 0;
    if (status.ok()) {
      ++load_.answered;
      latency_.Record(latency_us);
      return;
    }
    ++load_.failed;
    ++failed_[status.code()];
    messages_.emplace(status.code(), status.message());
  }

  const LoadOptions& options_;
  const std::vector<double> arrivals_;
  GatewayClient client_;
  Mutex mutex_;
  size_t next_arrival_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t started_late_ ABSL_GUARDED_BY(mutex_) = 0;
  ClientLoad load_ ABSL_GUARDED_BY(mutex_);
  LatencyHistogram latency_ ABSL_GUARDED_BY(mutex_);
  std::map<absl::StatusCode, int64_t> failed_ ABSL_GUARDED_BY(mutex_);
  std::map<absl::StatusCode, std::string> messages_ ABSL_GUARDED_BY(mutex_);
};

absl::Status CheckOptions(const LoadOptions& options) {
  const auto refuse = [](absl::string_view field, auto value,
                         absl::string_view expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": got ", value, ", expected ", expected));
  };
  if (options.num_clients < 1) {
    return refuse("num_clients", options.num_clients, "at least 1");
  }
  if (options.max_outstanding_per_client < 1) {
    return refuse("max_outstanding_per_client",
                  options.max_outstanding_per_client, "at least 1");
  }
  const int64_t num_callers = int64_t{options.num_clients} *
                              int64_t{options.max_outstanding_per_client};
  if (num_callers > kMaxCallers) {
    return refuse("num_clients * max_outstanding_per_client", num_callers,
                  absl::StrCat("at most ", kMaxCallers));
  }
  if (options.duration <= absl::ZeroDuration()) {
    return refuse("duration", absl::FormatDuration(options.duration),
                  "more than 0");
  }
  const double arrivals =
      options.rate_per_s * absl::ToDoubleSeconds(options.duration);
  if (!(options.rate_per_s >= 0) || arrivals > kMaxArrivals) {
    return refuse("rate_per_s", options.rate_per_s,
                  "a rate of at most 10,000,000 requests in all");
  }
  return absl::OkStatus();
}

}  // namespace

double LoadResult::AnsweredPerSecond() const {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(answered) / seconds : 0;
}

double LoadResult::DuePerSecond() const {
  const double seconds = absl::ToDoubleSeconds(duration);
  return seconds > 0 ? static_cast<double>(due) / seconds : 0;
}

int64_t LoadResult::NumFailed() const {
  int64_t sum = 0;
  for (const auto& [code, count] : failed) sum += count;
  return sum;
}

double LoadResult::Fairness() const {
  double sum = 0;
  double sum_of_squares = 0;
  for (const ClientLoad& client : clients) {
    const auto n = static_cast<double>(client.answered);
    sum += n;
    sum_of_squares += n * n;
  }
  if (sum == 0) return 1;
  return sum * sum / (static_cast<double>(clients.size()) * sum_of_squares);
}

std::vector<double> ArrivalTimes(double rate_per_s, absl::Duration duration,
                                 uint64_t seed, int client) {
  std::vector<double> times;
  if (rate_per_s <= 0) return times;
  std::seed_seq mixed({static_cast<uint32_t>(seed),
                       static_cast<uint32_t>(seed >> 32),
                       static_cast<uint32_t>(client)});
  std::mt19937_64 random(mixed);
  std::exponential_distribution<double> gap(rate_per_s);
  const double end = absl::ToDoubleSeconds(duration);
  for (double t = gap(random); t < end; t += gap(random)) times.push_back(t);
  return times;
}

absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::vector<std::unique_ptr<LoadClient>> clients;
  for (int i = 0; i < options.num_clients; ++i) {
    clients.push_back(std::make_unique<LoadClient>(options, i));
  }
  // Time for the callers to be there when the first request is due.
  const SteadyTime start = SteadyClock::now() + std::chrono::milliseconds(50);
  std::vector<std::thread> callers;
  for (const auto& client : clients) {
    for (int i = 0; i < options.max_outstanding_per_client; ++i) {
      callers.emplace_back([&client, start] {
        std::this_thread::sleep_until(start);
        client->Call(start);
      });
    }
  }
  for (std::thread& caller : callers) caller.join();
  LoadResult result;
  result.duration = options.duration;
  result.elapsed = absl::Microseconds(MicrosecondsSince(start));
  for (const auto& client : clients) client->AddTo(result);
  return result;
}

}  // namespace switchyard
