#ifndef SWITCHYARD_SERVICES_LEASE_KEEPER_H_
#define SWITCHYARD_SERVICES_LEASE_KEEPER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace switchyard {

struct LeaseKeeperOptions {
  std::string gateway_address;
  // As in RegisterWorkerRequest.
  std::string worker_id;
  std::string address;
  std::string metrics_address;
  // Empty: none.
  std::string group;
};

// Keeps a worker in the gateway's registry: registers, renews the lease at a
// third of its duration, and registers again when the gateway has forgotten the
// worker, for as long as it takes. On a thread of its own.
//
// A gateway counts the experts of a worker that registers as lost. So before
// each attempt the worker is emptied, and the attempt gets an incarnation of
// its own: one that succeeded, but whose answer was lost, is told from the
// next. A worker is not emptied because the gateway cannot be reached: one that
// was only away for a while finds its experts as they were.
//
// Destruction stops. Thread-safe.
class LeaseKeeper {
 public:
  // `unload_all` empties the worker; it runs on the keeper's thread, while no
  // call to the gateway is in progress. `clock` must outlive the keeper.
  LeaseKeeper(LeaseKeeperOptions options, Clock& clock,
              std::function<void()> unload_all);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Whether there is a lease and it has not run out.
  bool registered() const;

  // Deregisters, for which a second must suffice, and ends the thread.
  // Idempotent.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_LEASE_KEEPER_H_
