#ifndef SWITCHYARD_BENCH_WIRE_ECHO_CHAIN_H_
#define SWITCHYARD_BENCH_WIRE_ECHO_CHAIN_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace switchyard::bench {

// Two processes of bare gRPC in a row (echo_server.cc), where the service has a
// gateway and a worker, and a client of the first. Ends them on destruction,
// which is for the thread that started them; Call is thread-safe.
class EchoChain {
 public:
  static absl::StatusOr<std::unique_ptr<EchoChain>> Start(bool unix_sockets);
  ~EchoChain();

  // Sends `num_bytes`, at most 64 MiB, down the chain and waits until they are
  // back.
  absl::Status Call(int64_t num_bytes);

 private:
  class Impl;
  explicit EchoChain(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard::bench

#endif  // SWITCHYARD_BENCH_WIRE_ECHO_CHAIN_H_
