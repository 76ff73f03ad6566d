#ifndef SWITCHYARD_EXPERT_WORKER_COLLECTIVE_GLOO_COLLECTIVE_H_
#define SWITCHYARD_EXPERT_WORKER_COLLECTIVE_GLOO_COLLECTIVE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "expert_worker/collective/collective.h"

namespace switchyard {

// A member's end over TCP, by Gloo's point-to-point operations. Gloo knows
// neither encryption nor authentication: `listen_host` (a name or an IP address
// of this machine) belongs to a private network. INVALID_ARGUMENT for a rank
// that does not exist, UNAVAILABLE where the host cannot be listened on.
absl::StatusOr<std::unique_ptr<Collective>> MakeGlooCollective(
    const std::string& listen_host, int rank, int size);

}  // namespace switchyard

#endif  // SWITCHYARD_EXPERT_WORKER_COLLECTIVE_GLOO_COLLECTIVE_H_
