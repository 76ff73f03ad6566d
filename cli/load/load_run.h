// Load on a gateway, for `switchyard bench` and the benchmarks: forwards of a
// layer at a given rate (open loop) or one after the other (closed loop).
#ifndef SWITCHYARD_CLI_LOAD_LOAD_RUN_H_
#define SWITCHYARD_CLI_LOAD_LOAD_RUN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/load/latency_histogram.h"
#include "client/gateway_client.h"
#include "common/tensor/tensor.h"

namespace switchyard {

struct LoadOptions {
  std::string gateway;
  // Timeouts and sizes; each client has a connection of its own.
  GatewayClientOptions client;
  std::string layer;
  // Of every request: [tokens, hidden_size].
  Tensor x;
  int num_clients = 1;
  // Requests per second of all clients together, at random times (a Poisson
  // process), whether or not earlier ones have been answered. 0: closed loop,
  // each caller asks again when it has its answer.
  double rate_per_s = 0;
  absl::Duration duration = absl::Seconds(10);
  // Callers of each client, so its most requests at a time. In the open loop a
  // request that finds all of them busy starts late, or after the duration
  // never, and is counted as such.
  int max_outstanding_per_client = 4;
  // Of the times at which requests are due.
  uint64_t seed = 1;
};

struct ClientLoad {
  int64_t answered = 0;
  int64_t failed = 0;
};

struct LoadResult {
  // Of the options.
  absl::Duration duration;
  // From the start to the last answer.
  absl::Duration elapsed;
  int64_t due = 0;
  int64_t answered = 0;
  // Started over a millisecond late, for want of a caller.
  int64_t started_late = 0;
  // Not started at all: no caller was free before the time was over.
  int64_t never_started = 0;
  std::map<absl::StatusCode, int64_t> failed;
  // One message for each code.
  std::map<absl::StatusCode, std::string> messages;
  // From when each request was due, not from when it was sent, to its answer:
  // waiting that the load itself causes counts (no coordinated omission). Of
  // those answered.
  LatencyHistogram latency;
  std::vector<ClientLoad> clients;

  double AnsweredPerSecond() const;
  // Due per second: random times give a little more or less than the rate.
  double DuePerSecond() const;
  int64_t NumFailed() const;
  // Jain's index over the clients' answered requests, 1/n (one has all) to 1
  // (Jain, Chiu and Hawe, 1984); 1 where nothing was answered.
  double Fairness() const;
};

// Seconds from the start at which the requests of client `client` are due,
// rising, all below `duration`. The same for the same arguments.
std::vector<double> ArrivalTimes(double rate_per_s, absl::Duration duration,
                                 uint64_t seed, int client);

// Returns when every request that was started within the duration has been
// answered or has failed: the clients' timeout bounds that. INVALID_ARGUMENT
// for options out of range.
absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options);

}  // namespace switchyard

#endif  // SWITCHYARD_CLI_LOAD_LOAD_RUN_H_
